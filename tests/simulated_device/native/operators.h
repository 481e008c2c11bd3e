// Ops: the CPU's kernels, on tensors that look at the device's memory.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/SDPBackend.h>
#include <ATen/native/transformers/attention.h>
#include <torch/library.h>

#include <algorithm>
#include <string_view>

#include "streams.h"

namespace simulated {

enum class Transfer { kToDevice, kToHost, kSync };
// Called for each while somebody asks for a log.
// Never destroyed: it may hold a function of Python, which is gone before static objects are.
inline auto& on_transfer = *new std::function<void(Transfer, int64_t)>();
inline std::atomic<bool> logs{false};

inline void notify(Transfer kind, int64_t bytes) {
  if (logs) on_transfer(kind, bytes);
}
inline void count_to_device(int64_t bytes) {
  ++counters.copies_to_device;
  counters.bytes_to_device += bytes;
  notify(Transfer::kToDevice, bytes);
}
inline void count_to_host(int64_t bytes) {
  ++counters.copies_to_host;
  counters.bytes_to_host += bytes;
  notify(Transfer::kToHost, bytes);
}
inline void count_sync() {
  ++counters.syncs;
  notify(Transfer::kSync, 0);
}

// A generator of random numbers on the device; it draws what the CPU's would.
struct Generator final : c10::GeneratorImpl {
  explicit Generator(at::Generator numbers)
      : c10::GeneratorImpl(kDevice, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)),
        cpu(std::move(numbers)) {}
  void set_current_seed(uint64_t seed) override { cpu.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { cpu.set_offset(offset); }
  uint64_t get_offset() const override { return cpu.get_offset(); }
  uint64_t current_seed() const override { return cpu.current_seed(); }
  uint64_t seed() override { return cpu.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    cpu.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return cpu.unsafeGetGeneratorImpl()->get_state();
  }
  GeneratorImpl* clone_impl() const override { return new Generator(cpu.clone()); }

  at::Generator cpu;
};
inline const at::Generator& default_generator() {
  static auto& generator =
      *new at::Generator(at::make_generator<Generator>(at::detail::createCPUGenerator()));
  return generator;
}

inline bool is_here(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kType;
}

inline bool is_same(const c10::Storage& one, const c10::Storage& other) {
  return one.unsafeGetStorageImpl() == other.unsafeGetStorageImpl();
}

inline void shape_like(const at::Tensor& tensor, const at::Tensor& model) {
  auto* impl = tensor.unsafeGetTensorImpl();
  impl->set_storage_offset(model.storage_offset());
  impl->set_sizes_and_strides(model.sizes(), model.strides());
}

// A tensor of either side over a storage, in the shape of another.
inline at::Tensor over(c10::Storage storage, c10::DispatchKey key, const at::Tensor& model) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key),
                                                       model.dtype());
  shape_like(made, model);
  if (model.is_conj()) made._set_conj(true);
  if (model.is_neg()) made._set_neg(true);
  return made;
}

// A view of a device tensor, in the shape of the one that the CPU made of the other side. It is a
// tensor for inference only if its base is one.
inline at::Tensor view_of(const at::Tensor& base, const at::Tensor& model) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(
      c10::TensorImpl::VIEW, c10::Storage(base.storage()), base.key_set(), model.dtype());
  shape_like(made, model);
  made._set_conj(model.is_conj());
  made._set_neg(model.is_neg());
  return made;
}

// The two sides of one call: each device tensor that goes in, and the CPU tensor over its memory.
class Call {
 public:
  explicit Call(std::string_view name) : name_(name) {}

  // A tensor that the CPU's kernel takes in place of a device tensor, over the same memory.
  at::Tensor to_cpu(const at::Tensor& tensor) {
    if (!is_here(tensor)) return tensor;
    auto cpu = over(cpu_storage(tensor.storage()), c10::DispatchKey::CPU, tensor);
    arguments_.push_back({tensor, cpu});
    return cpu;
  }
  // The same for an argument; the CPU's own tensors may come in only if they are numbers.
  at::Tensor argument(const at::Tensor& tensor, bool is_written) {
    if (tensor.defined() && tensor.device().is_cpu()) {
      TORCH_CHECK(tensor.dim() == 0 && !is_written,
                  "Expected all tensors to be on the same device, but found at least two devices, ",
                  kDevice, " and cpu! (in ", name_, ")");
    }
    return to_cpu(tensor);
  }
  // Give device tensors the shape and memory that the kernel gave to those in their place.
  void update_arguments() {
    for (auto& [here, cpu] : arguments_) {
      auto now = storage_here(cpu.storage());
      if (!is_same(now, here.storage())) here.unsafeGetTensorImpl()->set_storage_keep_dtype(now);
      if (here.sizes() != cpu.sizes() || here.strides() != cpu.strides() ||
          here.storage_offset() != cpu.storage_offset())
        shape_like(here, cpu);
    }
  }
  // The device tensor for one that the kernel returned: an argument, a view of one, or a new one.
  at::Tensor result(const at::Tensor& cpu) {
    if (!cpu.defined() || !cpu.device().is_cpu()) return cpu;
    for (auto& argument : arguments_)
      if (argument.second.is_same(cpu)) return argument.first;
    for (auto& [here, at_cpu] : arguments_)
      if (is_same(at_cpu.storage(), cpu.storage())) return view_of(here, cpu);
    return over(storage_here(cpu.storage()), c10::DispatchKey::PrivateUse1, cpu);
  }

 private:
  struct Pair {
    c10::Storage here, cpu;
    const void* data;
  };
  c10::Storage cpu_storage(const c10::Storage& here) {
    for (auto& pair : storages_)
      if (is_same(pair.here, here)) return pair.cpu;
    auto* keep = new c10::Storage(here);
    c10::DataPtr data(here.mutable_data(), keep, &forget, c10::Device(c10::kCPU));
    c10::Storage cpu(c10::Storage::use_byte_size_t(), here.nbytes(), std::move(data),
                     c10::GetCPUAllocator(), /*resizable=*/true);
    storages_.push_back({here, cpu, cpu.data()});
    return cpu;
  }
  // The storage on the device for one of the CPU's: its pair, with new memory if it grew.
  c10::Storage storage_here(const c10::Storage& cpu) {
    for (auto& pair : storages_) {
      if (!is_same(pair.cpu, cpu)) continue;
      if (pair.cpu.data() != pair.data) {
        auto* impl = pair.here.unsafeGetStorageImpl();
        impl->set_data_ptr_noswap(enlist(cpu));
        impl->set_nbytes(cpu.nbytes());
        pair.data = pair.cpu.data();
      }
      return pair.here;
    }
    c10::Storage here(c10::Storage::use_byte_size_t(), cpu.nbytes(), enlist(cpu), &allocator,
                      /*resizable=*/true);
    storages_.push_back({here, cpu, cpu.data()});
    return here;
  }
  static void forget(void* keep) { delete static_cast<c10::Storage*>(keep); }

  std::string_view name_;
  std::vector<std::pair<at::Tensor, at::Tensor>> arguments_;
  std::vector<Pair> storages_;
};

// Ops whose result's shape, or value in Python, depends on the data: the host waits for it.
inline bool waits_for_data(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique", "aten::_unique2",
      "aten::unique_consecutive", "aten::unique_dim", "aten::repeat_interleave", "aten::bincount",
      "aten::is_nonzero"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}
inline bool takes_host_indices(std::string_view name) {
  return name == "aten::index" || name == "aten::index_put_" || name == "aten::index_put" ||
         name == "aten::_index_put_impl_";
}
inline bool is_mask(const at::Tensor& index) {
  return index.scalar_type() == at::kBool || index.scalar_type() == at::kByte;
}

inline at::Generator cpu_generator(const at::Generator& generator) {
  TORCH_CHECK(generator.device().type() == kType, "Expected a '", kDevice,
              "' device type for generator but found '", generator.device(), "'");
  return static_cast<Generator*>(generator.unsafeGetGeneratorImpl())->cpu;
}

// Indices of an indexing op; those of the host are copied, and a mask makes the host wait. Torch
// prepares those of `index` on the device, where they are counted, and hands them over once more.
inline c10::IValue indices_to_cpu(Call& call, std::string_view name, const c10::IValue& value) {
  const bool counts = name != "aten::index";
  c10::List<std::optional<at::Tensor>> taken;
  for (const std::optional<at::Tensor>& index : value.toOptionalTensorList()) {
    if (!index.has_value() || !index->defined()) {
      taken.push_back(index);
      continue;
    }
    if (counts && is_mask(*index)) count_sync();
    const bool from_host = index->device().is_cpu() && takes_host_indices(name);
    if (counts && from_host) count_to_device(static_cast<int64_t>(index->nbytes()));
    taken.push_back(from_host ? *index : call.argument(*index, false));
  }
  return taken;
}

inline c10::IValue argument_to_cpu(Call& call, const c10::FunctionSchema& schema, size_t number,
                                   const c10::IValue& value) {
  const auto* alias = schema.arguments()[number].alias_info();
  const bool is_written = alias != nullptr && alias->isWrite();
  if (value.isTensor()) return call.argument(value.toTensor(), is_written);
  if (value.isTensorList()) {
    std::vector<at::Tensor> taken;
    for (const at::Tensor& tensor : value.toTensorVector())
      taken.push_back(call.argument(tensor, is_written));
    return taken;
  }
  if (value.isOptionalTensorList()) return indices_to_cpu(call, schema.name(), value);
  if (value.isDevice()) return c10::Device(c10::kCPU);
  if (value.isGenerator()) return cpu_generator(value.toGenerator());
  return value;
}

inline bool makes_views(const c10::FunctionSchema& schema) {
  for (const auto& one : schema.returns())
    if (one.alias_info() != nullptr && !one.alias_info()->isWrite()) return true;
  return false;
}

// Any op: let the CPU's kernel do it, over the device's memory.
inline void run_on_cpu(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  settle();
  ++(makes_views(schema) ? counters.views : counters.ops);
  if (waits_for_data(schema.name())) count_sync();
  Call call(schema.name());
  const size_t count = schema.arguments().size(), first = stack->size() - count;
  for (size_t number = 0; number < count; ++number) {
    auto& value = (*stack)[first + number];
    value = argument_to_cpu(call, schema, number, value);
  }
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.update_arguments();
  for (size_t index = stack->size() - schema.returns().size(); index < stack->size(); ++index) {
    auto& value = (*stack)[index];
    if (value.isTensor()) {
      value = call.result(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> given;
      for (const at::Tensor& tensor : value.toTensorVector()) given.push_back(call.result(tensor));
      value = given;
    }
  }
}

inline at::Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype,
                        std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                        std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &allocator,
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

inline at::Tensor empty_strided(c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                                std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                                std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &allocator,
      c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}

// Copy to, from or within the device. In the background on a side stream, as long as the host's
// end is pinned and nobody asked to wait.
inline at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  at::AutoDispatchBelowADInplaceOrView below;
  Call call("aten::_copy_from");
  const auto source = call.to_cpu(from), target = call.to_cpu(to);
  if (is_here(from) && is_here(to)) {
    settle();
    ++counters.ops;
    target.copy_(source);
    return to;
  }
  const bool to_device = is_here(to);
  const auto bytes = static_cast<int64_t>(to.numel() * to.element_size());
  to_device ? count_to_device(bytes) : count_to_host(bytes);
  auto* side = pool.find(current_stream);
  const auto& at_host = to_device ? from : to;
  if (side != nullptr && non_blocking && pinned.owns(at_host.storage().data())) {
    life.check();
    side->push([to_device, bytes, source, target] {
      at::AutoDispatchBelowADInplaceOrView below_there;
      link.carry(to_device, bytes, [&] { target.copy_(source); });
    });
    return to;
  }
  settle();
  link.carry(to_device, bytes, [&] { target.copy_(source); });
  return to;
}

inline at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

inline at::Scalar read_number(const at::Tensor& tensor) {
  settle();
  count_sync();
  count_to_host(static_cast<int64_t>(tensor.element_size()));
  Call call("aten::_local_scalar_dense");
  return call.to_cpu(tensor).item();
}

inline at::Tensor& set_storage(at::Tensor& tensor, at::Storage storage, c10::SymInt offset,
                               c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  auto* impl = tensor.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(storage));
  impl->set_storage_offset(offset.expect_int());
  impl->set_sizes_and_strides(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
  return tensor;
}

inline at::Tensor convolve(const at::Tensor& input, const at::Tensor& weight,
                           const std::optional<at::Tensor>& bias, c10::SymIntArrayRef stride,
                           c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
                           bool transposed, c10::SymIntArrayRef output_padding,
                           c10::SymInt groups) {
  settle();
  ++counters.ops;
  Call call("aten::convolution");
  std::optional<at::Tensor> bias_on_cpu;
  if (bias.has_value() && bias->defined()) bias_on_cpu = call.argument(*bias, false);
  return call.result(at::convolution_symint(call.argument(input, false),
                                            call.argument(weight, false), bias_on_cpu, stride,
                                            padding, dilation, transposed, output_padding, groups));
}

inline int64_t choose_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                const std::optional<at::Tensor>&, double, bool,
                                std::optional<double>, bool) {
  return static_cast<int64_t>(at::SDPBackend::overrideable);
}

inline std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt,
                  at::Tensor, at::Tensor, at::Tensor>
attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
       const std::optional<at::Tensor>& mask, double dropout, bool is_causal, bool,
       std::optional<double> scale) {
  settle();
  ++counters.ops;
  Call call("aten::scaled_dot_product_attention");
  std::optional<at::Tensor> mask_on_cpu;
  if (mask.has_value() && mask->defined()) mask_on_cpu = call.argument(*mask, false);
  auto attended = at::scaled_dot_product_attention(
      call.argument(query, false), call.argument(key, false), call.argument(value, false),
      mask_on_cpu, dropout, is_causal, scale);
  return {call.result(attended), {}, {}, {}, query.sym_size(2), key.sym_size(2), {}, {}, {}};
}

inline void record_stream(at::Tensor&, at::Stream) {}  // copies in flight hold their memory

}  // namespace simulated
