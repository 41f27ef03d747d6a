// Objects that are used again in place of being freed: steady state allocates nothing. The pool
// owns them all; one that is given back keeps its memory (and the capacity of its members).
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace postern::nameserver {

template <class T>
class Pool {
 public:
  std::size_t in_use() const { return all_.size() - free_.size(); }

  template <class... Args>  // for the constructor, when a new object is needed
  T& acquire(Args&&... args) {
    if (free_.empty()) {
      all_.push_back(std::make_unique<T>(std::forward<Args>(args)...));
      free_.reserve(all_.size());
      return *all_.back();
    }
    T* item = free_.back();
    free_.pop_back();
    return *item;
  }

  void release(T& item) { free_.push_back(&item); }

  /// In use or not.
  template <class Visitor>
  void for_all(Visitor visit) {
    for (const std::unique_ptr<T>& item : all_) visit(*item);
  }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::vector<T*> free_;
};

}  // namespace postern::nameserver
