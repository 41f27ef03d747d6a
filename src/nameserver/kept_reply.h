// Replies that come later: ReplyPaths that find their transport again, and notice when it has gone.
// A transport owns a KeptReplies; the paths are owned by the queries that wait and may outlive it.
// One thread. The memory of paths is used again, so a steady state allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "nameserver/transport.h"

namespace postern::nameserver {

/// Memory of one size, kept for the next object of this thread.
template <class T>
class FreeList {
 public:
  static void* take() {
    std::vector<void*>& free = mine().free;
    if (free.empty()) return ::operator new(sizeof(T));
    void* const memory = free.back();
    free.pop_back();
    return memory;
  }
  static void give(void* memory) {
    std::vector<void*>& free = mine().free;
    if (free.size() < kKeptMax) {
      free.push_back(memory);
    } else {
      ::operator delete(memory);
    }
  }

 private:
  static constexpr std::size_t kKeptMax = 16384;  // objects
  struct Store {
    std::vector<void*> free;
    ~Store() {
      for (void* memory : free) ::operator delete(memory);
    }
  };
  static Store& mine() {
    thread_local Store store;
    return store;
  }
};

/// `Home` has two functions: late_reply(const Address&, Bytes), called when the reply comes, and
/// late_nothing(), called when the query ends without one.
template <class Home, class Address>
class KeptReplies {
 public:
  explicit KeptReplies(Home& home) : home_(home) {}
  ~KeptReplies() {
    for (Path* path = first_; path != nullptr; path = path->next_) path->list_ = nullptr;
  }
  KeptReplies(const KeptReplies&) = delete;
  KeptReplies& operator=(const KeptReplies&) = delete;

  std::size_t size() const { return size_; }

  std::unique_ptr<ReplyPath> keep(const Address& address) {
    return std::unique_ptr<ReplyPath>(new Path(*this, address));
  }

 private:
  class Path final : public ReplyPath {
   public:
    Path(KeptReplies& list, const Address& address) : list_(&list), address_(address) {
      list.link(*this);
    }
    ~Path() override {
      if (KeptReplies* const list = leave()) list->home_.late_nothing();
    }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;

    void send(Bytes reply) override {
      if (KeptReplies* const list = leave()) list->home_.late_reply(address_, reply);
    }

    static void* operator new(std::size_t) { return FreeList<Path>::take(); }
    static void operator delete(void* memory) { FreeList<Path>::give(memory); }

   private:
    friend class KeptReplies;
    KeptReplies* leave() {
      if (list_ != nullptr) list_->unlink(*this);
      return std::exchange(list_, nullptr);
    }

    KeptReplies* list_;
    Path* previous_ = nullptr;
    Path* next_ = nullptr;
    Address address_;
  };

  void link(Path& path) {
    path.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &path;
    first_ = &path;
    ++size_;
  }
  void unlink(Path& path) {
    if (path.next_ != nullptr) path.next_->previous_ = path.previous_;
    (path.previous_ != nullptr ? path.previous_->next_ : first_) = path.next_;
    --size_;
  }

  Home& home_;
  Path* first_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace postern::nameserver
