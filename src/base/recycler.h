// Memory for libraries that allocate the same few sizes for every request (nghttp2's streams,
// OpenSSL's record buffers of 16 KiB): what was freed is given out again by the thread that freed
// it, without a search. Blocks are malloc()'s: any thread may free or resize them, here or with
// free(). What waits is bounded to 5 MiB a thread, and 200 KiB in common use.
#pragma once

#include <cstddef>
#include <new>

namespace postern {

/// As malloc(), free(), calloc() and realloc(); and just these with a sanitizer, which looks at
/// every block by itself.
void* take_memory(std::size_t size);
void give_memory(void* memory);
void* take_zeroed_memory(std::size_t count, std::size_t size);
void* resize_memory(void* memory, std::size_t size);

/// A base for objects that are made for every request.
struct Recycled {
  static void* operator new(std::size_t size) {
    void* const memory = take_memory(size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  static void operator delete(void* memory) { give_memory(memory); }
};

/// For std::unique_ptr.
struct GiveMemory {
  void operator()(void* memory) const { give_memory(memory); }
};

}  // namespace postern
