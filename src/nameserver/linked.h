// A ring of objects that carry their own links: joining and leaving cost a few stores and allocate
// nothing, and an object that leaves while somebody walks over the ring harms nobody. An object is
// in one ring at most and leaves it when destroyed.
#pragma once

#include <cassert>

namespace postern::nameserver {

class Linked {
 public:
  Linked() = default;
  ~Linked() { unlink(); }
  Linked(const Linked&) = delete;
  Linked& operator=(const Linked&) = delete;

  bool is_linked() const { return next_ != this; }

  void unlink() {
    assert(prev_ != nullptr && next_ != nullptr);
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = this;
  }

 private:
  template <class T>
  friend class Ring;

  Linked* prev_ = this;
  Linked* next_ = this;
};

/// T is Linked or derives from it.
template <class T>
class Ring {
 public:
  bool empty() const { return !head_.is_linked(); }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }

  void push_back(T& item) {
    Linked& link = item;
    link.unlink();
    link.prev_ = head_.prev_;
    link.next_ = &head_;
    head_.prev_->next_ = &link;
    head_.prev_ = &link;
  }

  /// Leaves `other` empty. REQUIRES: this one is empty.
  void take(Ring& other) {
    if (other.empty()) return;
    head_.next_ = other.head_.next_;
    head_.prev_ = other.head_.prev_;
    head_.next_->prev_ = &head_;
    head_.prev_->next_ = &head_;
    other.head_.next_ = other.head_.prev_ = &other.head_;
  }

 private:
  Linked head_;
};

}  // namespace postern::nameserver
