// The device's memory: an allocator with a budget, pinned host memory, and what is counted.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "card.h"

namespace simulated {

constexpr auto kType = c10::DeviceType::PrivateUse1;
inline const c10::Device kDevice{kType, 0};

// What happened since the last reset.
struct Counters {
  std::atomic<int64_t> ops{0};    // kernels that compute, and copies within the device
  std::atomic<int64_t> views{0};  // ops that only look at memory in another way
  std::atomic<int64_t> copies_to_device{0}, bytes_to_device{0};
  std::atomic<int64_t> copies_to_host{0}, bytes_to_host{0};
  std::atomic<int64_t> syncs{0};  // times that the host waited for the device, copies apart
  std::atomic<int64_t> pinned_allocations{0};

  void reset() {
    for (auto* one : {&ops, &views, &copies_to_device, &bytes_to_device, &copies_to_host,
                      &bytes_to_host, &syncs, &pinned_allocations})
      *one = 0;
  }
};
inline Counters counters;
inline std::atomic<bool> available{false};

// The books: bytes in use against the budget, and failures that were asked for.
class Memory {
 public:
  void charge(int64_t bytes) {
    std::lock_guard<std::mutex> hold(mutex_);
    TORCH_CHECK(available, "The simulated device is switched off.");
    life.check();
    ++allocations_;
    const bool fails = fail_in_ > 0 && --fail_in_ == 0;
    if (fails || live_ + card.others() + bytes > budget_) {
      ++refusals_;
      TORCH_CHECK_WITH(OutOfMemoryError, false, "simulated out of memory. Tried to allocate ",
                       bytes / 1048576.0, " MiB; ", live_, " of ", budget_, " bytes are in use.");
    }
    live_ += bytes;
    card.tell(live_);
    peak_ = std::max(peak_, live_);
  }
  void release(int64_t bytes) {
    std::lock_guard<std::mutex> hold(mutex_);
    live_ -= bytes;
    card.tell(live_);
  }
  void reset() {
    std::lock_guard<std::mutex> hold(mutex_);
    peak_ = live_;
    allocations_ = refusals_ = 0;
  }
  void share(const std::string& path) {
    std::lock_guard<std::mutex> hold(mutex_);
    card.open(path);
    card.tell(live_);
  }
  void set_budget(int64_t bytes) {
    std::lock_guard<std::mutex> hold(mutex_);
    budget_ = bytes;
  }
  // Let the n-th allocation from now fail, once; never if n is 0.
  void fail_in(int64_t n) {
    std::lock_guard<std::mutex> hold(mutex_);
    fail_in_ = n;
  }
  std::map<std::string, int64_t> facts() {
    std::lock_guard<std::mutex> hold(mutex_);
    return {{"live_bytes", live_}, {"peak_bytes", peak_}, {"budget", budget_},
            {"allocations", allocations_}, {"refusals", refusals_}};
  }

 private:
  std::mutex mutex_;
  int64_t live_ = 0, peak_ = 0, allocations_ = 0, refusals_ = 0, fail_in_ = 0;
  int64_t budget_ = int64_t(1) << 50;
};
inline Memory& memory = *new Memory();  // outlives every tensor

// One piece of device memory: host memory that is on the books as long as it lives.
struct Block {
  c10::Storage host;
  int64_t bytes;

  static void free(void* context) {
    auto* block = static_cast<Block*>(context);
    memory.release(block->bytes);
    delete block;
  }
};

// Put host memory that nobody else uses on the device's books.
inline c10::DataPtr enlist(c10::Storage host) {
  const auto bytes = static_cast<int64_t>(host.nbytes());
  void* data = host.mutable_data();
  if (data == nullptr) return {nullptr, kDevice};
  memory.charge(bytes);
  return {data, new Block{std::move(host), bytes}, &Block::free, kDevice};
}

struct Allocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, kDevice};
    memory.charge(static_cast<int64_t>(bytes));
    c10::DataPtr data = c10::GetCPUAllocator()->allocate(bytes);
    std::memset(data.get(), 0xff, bytes);  // NaN: what reads before it writes is seen
    void* start = data.get();
    c10::Storage host(c10::Storage::use_byte_size_t(), bytes, std::move(data));
    return {start, new Block{std::move(host), static_cast<int64_t>(bytes)}, &Block::free, kDevice};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}  // nothing is kept
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override { memory.reset(); }
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
    auto facts = memory.facts();
    c10::CachingDeviceAllocator::DeviceStats stats;
    for (auto* array : {&stats.allocated_bytes, &stats.reserved_bytes}) {
      auto& all = (*array)[0];
      all.current = facts["live_bytes"];
      all.peak = facts["peak_bytes"];
    }
    stats.num_ooms = facts["refusals"];
    return stats;
  }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override {
    auto facts = memory.facts();
    const int64_t free = facts["budget"] - facts["live_bytes"] - card.others();
    return {std::max(free, int64_t(0)), facts["budget"]};
  }
};
inline Allocator& allocator = *new Allocator();

// Host memory that copies may use while the host goes on.
class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK(!refuses, "The simulated device can not pin ", bytes, " bytes.");
    ++counters.pinned_allocations;
    auto* data = c10::alloc_cpu(bytes);
    std::lock_guard<std::mutex> hold(mutex_);
    pieces_[data] = bytes;
    return {data, data, &PinnedAllocator::free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &PinnedAllocator::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  bool owns(const void* pointer) {
    std::lock_guard<std::mutex> hold(mutex_);
    auto after = pieces_.upper_bound(pointer);
    if (after == pieces_.begin()) return false;
    const auto& [start, bytes] = *std::prev(after);
    return pointer < static_cast<const char*>(start) + bytes;
  }
  int64_t bytes() {
    std::lock_guard<std::mutex> hold(mutex_);
    int64_t sum = 0;
    for (const auto& piece : pieces_) sum += static_cast<int64_t>(piece.second);
    return sum;
  }
  std::atomic<bool> refuses{false};

 private:
  static void free(void* data);
  std::mutex mutex_;
  std::map<const void*, size_t> pieces_;
};
inline PinnedAllocator& pinned = *new PinnedAllocator();

inline void PinnedAllocator::free(void* data) {
  {
    std::lock_guard<std::mutex> hold(pinned.mutex_);
    pinned.pieces_.erase(data);
  }
  c10::free_cpu(data);
}

}  // namespace simulated
