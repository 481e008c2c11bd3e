// The card behind the device: what other processes hold on it, and its end.
#pragma once

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <string>

namespace simulated {

// A device that is lost does nothing more for this process, as after a real one's launch failure.
class Life {
 public:
  // Let the n-th piece of work from now be the first that fails; none if n is 0.
  void lose_in(int64_t n) {
    std::lock_guard<std::mutex> hold(mutex_);
    left_ = n;
  }
  void check() {
    std::lock_guard<std::mutex> hold(mutex_);
    if (left_ > 1) --left_;
    else if (left_ == 1) left_ = kLost;
    TORCH_CHECK(left_ != kLost, "simulated error: unspecified launch failure");
  }

 private:
  static constexpr int64_t kLost = -1;
  std::mutex mutex_;
  int64_t left_ = 0;
};
inline Life& life = *new Life();

// Processes that share a card have a file in common, with a place in it for each.
class Card {
 public:
  void open(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    TORCH_CHECK(file >= 0 && ::ftruncate(file, sizeof(Places)) == 0, "No card at ", path);
    void* at = ::mmap(nullptr, sizeof(Places), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    TORCH_CHECK(at != MAP_FAILED, "No card at ", path);
    places_ = static_cast<Places*>(at);
    for (auto& place : *places_) {
      int64_t held_by = place.pid;
      if (lives(held_by) || !place.pid.compare_exchange_strong(held_by, ::getpid())) continue;
      place.bytes = 0;
      own_ = &place;
      return;
    }
    TORCH_CHECK(false, "All places on the card are taken.");
  }
  void tell(int64_t bytes) {
    if (own_ != nullptr) own_->bytes = bytes;
  }
  int64_t others() const {
    int64_t sum = 0;
    if (places_ == nullptr) return sum;
    for (const auto& place : *places_)
      if (&place != own_ && place.bytes > 0 && lives(place.pid)) sum += place.bytes;
    return sum;
  }

 private:
  struct Place {
    std::atomic<int64_t> pid, bytes;
  };
  using Places = std::array<Place, 16>;

  static bool lives(int64_t pid) {
    return pid != 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH);
  }
  Places* places_ = nullptr;
  Place* own_ = nullptr;
};
inline Card& card = *new Card();

}  // namespace simulated
