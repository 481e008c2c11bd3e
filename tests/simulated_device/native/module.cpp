// An accelerator for tests: torch's PrivateUse1 device with memory of its own and the CPU's
// arithmetic. This file tells torch and Python about it; the headers beside it are what it does.
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "operators.h"

namespace simulated {
namespace {

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return available; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return available; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  at::Allocator* getPinnedMemoryAllocator() const override { return &pinned; }
  bool isPinnedPtr(const void* data) const override { return pinned.owns(data); }
  at::Device getDeviceFromPtr(void*) const override { return kDevice; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return default_generator();
  }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return at::make_generator<Generator>(at::detail::createCPUGenerator());
  }
};

REGISTER_ALLOCATOR(kType, &allocator)
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

}  // namespace
}  // namespace simulated

namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &simulated::choose_attention)
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&simulated::run_on_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", simulated::empty);
  library.impl("empty_strided", simulated::empty_strided);
  library.impl("_copy_from", simulated::copy_from);
  library.impl("_copy_from_and_resize", simulated::copy_from_and_resize);
  library.impl("_local_scalar_dense", simulated::read_number);
  library.impl("set_.source_Storage_storage_offset", simulated::set_storage);
  library.impl("convolution_overrideable", simulated::convolve);
  library.impl("_scaled_dot_product_fused_attention_overrideable", simulated::attend);
  library.impl("record_stream", simulated::record_stream);
  // Kernels of one piece, for which torch would else take many ops.
  for (const char* name : {"native_group_norm", "native_layer_norm"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&simulated::run_on_cpu>());
}

// A copy takes the conjugate or the negative itself; else it would be asked for one without end.
TORCH_LIBRARY_IMPL(aten, Conjugate, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}
TORCH_LIBRARY_IMPL(aten, Negative, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}

namespace {

std::map<std::string, int64_t> facts() {
  using simulated::counters;
  auto all = simulated::memory.facts();
  all["ops"] = counters.ops;
  all["views"] = counters.views;
  all["copies_to_device"] = counters.copies_to_device;
  all["bytes_to_device"] = counters.bytes_to_device;
  all["copies_to_host"] = counters.copies_to_host;
  all["bytes_to_host"] = counters.bytes_to_host;
  all["syncs"] = counters.syncs;
  all["pinned_allocations"] = counters.pinned_allocations;
  all["pinned_bytes"] = simulated::pinned.bytes();
  return all;
}

void reset() {
  simulated::counters.reset();
  simulated::memory.reset();
}

void log_to(const std::function<void(int, int64_t)>& callback) {
  simulated::logs = false;
  if (!callback) return;
  simulated::on_transfer = [callback](simulated::Transfer kind, int64_t bytes) {
    pybind11::gil_scoped_acquire gil;
    callback(static_cast<int>(kind), bytes);
  };
  simulated::logs = true;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  at::RegisterPrivateUse1HooksInterface(new simulated::Hooks());
  module.def("facts", &facts);
  module.def("reset", &reset);
  module.def("log_to", &log_to);
  module.def("switch", [](bool on) { simulated::available = on; });
  module.def("is_on", [] { return simulated::available.load(); });
  module.def("set_budget", [](int64_t bytes) { simulated::memory.set_budget(bytes); });
  module.def("fail_in", [](int64_t number) { simulated::memory.fail_in(number); });
  module.def("lose_in", [](int64_t number) { simulated::life.lose_in(number); });
  module.def("share", [](const std::string& path) { simulated::memory.share(path); });
  module.def("set_link_speed", [](double speed) { simulated::link.speed = speed; });
  module.def("refuse_pinning", [](bool refuses) { simulated::pinned.refuses = refuses; });
  module.def("seed", [](uint64_t seed) {
    auto generator = simulated::default_generator();
    generator.set_current_seed(seed);
  });
}
