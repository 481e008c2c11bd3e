// Streams, events and the link to the host. The default stream is the thread that calls: its work
// is done when the call returns. A side stream is a thread of its own, which copies in the
// background; an op on a side stream waits for what was queued there, then runs in the caller.
#pragma once

#include <Python.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "memory.h"

namespace simulated {

using Clock = std::chrono::steady_clock;

// The link between host and device: a lane each way, each of so many bytes a second.
class Link {
 public:
  std::atomic<double> speed{0};  // bytes a second; 0: no time at all

  // Do a copy, which arrives when its time is over.
  void carry(bool to_device, int64_t bytes, const std::function<void()>& copy) {
    const double bytes_a_second = speed;
    if (bytes_a_second <= 0) return copy();
    std::lock_guard<std::mutex> hold(lanes_[to_device ? 0 : 1]);
    std::this_thread::sleep_for(std::chrono::duration<double>(bytes / bytes_a_second));
    copy();
  }

 private:
  std::mutex lanes_[2];
};
inline Link& link = *new Link();

// While it lives, the thread holds Python's lock no longer, if it did: it waits for a thread that
// may need it to let go of what it copied.
class WithoutLock {
 public:
  WithoutLock() : state_(PyGILState_Check() ? PyEval_SaveThread() : nullptr) {}
  ~WithoutLock() {
    if (state_ != nullptr) PyEval_RestoreThread(state_);
  }
  WithoutLock(const WithoutLock&) = delete;
  WithoutLock& operator=(const WithoutLock&) = delete;

 private:
  PyThreadState* state_;
};

// A side stream: a thread that does one task after the other.
class SideStream {
 public:
  SideStream() { std::thread([this] { work(); }).detach(); }

  void push(std::function<void()> task) {
    std::lock_guard<std::mutex> hold(mutex_);
    tasks_.push_back(std::move(task));
    ++pushed_;
    changed_.notify_all();
  }
  void wait() {
    const WithoutLock unlocked;
    std::unique_lock<std::mutex> hold(mutex_);
    changed_.wait(hold, [this, wanted = pushed_] { return done_ >= wanted; });
  }
  bool is_idle() {
    std::lock_guard<std::mutex> hold(mutex_);
    return done_ == pushed_;
  }

 private:
  void work() {
    std::unique_lock<std::mutex> hold(mutex_);
    for (;;) {
      changed_.wait(hold, [this] { return !tasks_.empty(); });
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      hold.unlock();
      task();
      task = nullptr;  // what it held is free before anybody hears that it is done
      hold.lock();
      ++done_;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  uint64_t pushed_ = 0, done_ = 0;
};

// As on other devices, streams come from a pool and are handed out in turn.
class Pool {
 public:
  c10::StreamId next() {
    std::lock_guard<std::mutex> hold(mutex_);
    const size_t slot = handed_out_++ % kSize;
    if (streams_.size() <= slot) streams_.push_back(std::make_unique<SideStream>());
    return static_cast<c10::StreamId>(slot + 1);
  }
  // None for the default stream.
  SideStream* find(c10::StreamId id) {
    std::lock_guard<std::mutex> hold(mutex_);
    return id == 0 ? nullptr : streams_.at(static_cast<size_t>(id - 1)).get();
  }
  void wait_for_all() {
    for (size_t slot = 0; slot < kSize; ++slot)
      if (auto* stream = find_slot(slot)) stream->wait();
  }

 private:
  SideStream* find_slot(size_t slot) {
    std::lock_guard<std::mutex> hold(mutex_);
    return slot < streams_.size() ? streams_[slot].get() : nullptr;
  }
  static constexpr size_t kSize = 8;
  std::mutex mutex_;
  size_t handed_out_ = 0;
  std::vector<std::unique_ptr<SideStream>> streams_;
};
inline Pool& pool = *new Pool();
inline thread_local c10::StreamId current_stream = 0;

// Wait until the current stream has nothing left to do: then the caller may act for it.
inline void settle() {
  life.check();
  if (auto* stream = pool.find(current_stream)) stream->wait();
}

class Event {
 public:
  uint64_t ask() {
    std::lock_guard<std::mutex> hold(mutex_);
    return ++asked_;
  }
  uint64_t asked() {
    std::lock_guard<std::mutex> hold(mutex_);
    return asked_;
  }
  void reach(uint64_t version) {
    std::lock_guard<std::mutex> hold(mutex_);
    reached_ = version;
    when_ = Clock::now();
    changed_.notify_all();
  }
  void wait(uint64_t version) {
    const WithoutLock unlocked;
    std::unique_lock<std::mutex> hold(mutex_);
    changed_.wait(hold, [&] { return reached_ >= version; });
  }
  bool is_reached() {
    std::lock_guard<std::mutex> hold(mutex_);
    return reached_ >= asked_;
  }
  Clock::time_point when() {
    std::lock_guard<std::mutex> hold(mutex_);
    return when_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t asked_ = 0, reached_ = 0;
  Clock::time_point when_;
};
using SharedEvent = std::shared_ptr<Event>;

inline SharedEvent event_of(void* handle) { return *static_cast<SharedEvent*>(handle); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.index() <= 0, "There is one simulated device, not ", device.index() + 1);
  }
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }

  c10::Stream stream(c10::StreamId id) const {
    return c10::Stream(c10::Stream::UNSAFE, kDevice, id);
  }
  c10::Stream getStream(c10::Device) const override { return stream(current_stream); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(0); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(pool.next()); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override {
    return stream(pool.next());
  }
  c10::Stream exchangeStream(c10::Stream next) const override {
    return stream(std::exchange(current_stream, next.id()));
  }
  bool queryStream(const c10::Stream& asked) const override {
    auto* side = pool.find(asked.id());
    return side == nullptr || side->is_idle();
  }
  void synchronizeStream(const c10::Stream& asked) const override {
    life.check();
    ++counters.syncs;
    if (auto* side = pool.find(asked.id())) side->wait();
  }
  void synchronizeDevice(const c10::DeviceIndex) const override {
    life.check();
    ++counters.syncs;
    pool.wait_for_all();
  }

  void record(void** handle, const c10::Stream& on, const c10::DeviceIndex,
              const c10::EventFlag) const override {
    if (*handle == nullptr) *handle = new SharedEvent(std::make_shared<Event>());
    auto event = event_of(*handle);
    const auto version = event->ask();
    auto* side = pool.find(on.id());
    if (side == nullptr) return event->reach(version);
    side->push([event, version] { event->reach(version); });
  }
  void block(void* handle, const c10::Stream& waiting) const override {
    if (handle == nullptr) return;
    auto event = event_of(handle);
    const auto version = event->asked();
    auto* side = pool.find(waiting.id());
    if (side == nullptr) return event->wait(version);
    side->push([event, version] { event->wait(version); });
  }
  bool queryEvent(void* handle) const override {
    return handle == nullptr || event_of(handle)->is_reached();
  }
  void synchronizeEvent(void* handle) const override {
    life.check();
    ++counters.syncs;
    if (handle == nullptr) return;
    auto event = event_of(handle);
    event->wait(event->asked());
  }
  double elapsedTime(void* from, void* to, const c10::DeviceIndex) const override {
    const auto passed = event_of(to)->when() - event_of(from)->when();
    return std::chrono::duration<double, std::milli>(passed).count();
  }
  void destroyEvent(void* handle, const c10::DeviceIndex) const noexcept override {
    delete static_cast<SharedEvent*>(handle);
  }
};

}  // namespace simulated
