#include "callocations.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static atomic_int counting;
static atomic_long calls;
static atomic_long total;

void ca_begin(void) {
    atomic_store(&calls, 0);
    atomic_store(&total, 0);
    atomic_store(&counting, 1);
}

long ca_end(long *bytes) {
    atomic_store(&counting, 0);
    *bytes = atomic_load(&total);
    return atomic_load(&calls);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

#include <errno.h>

// A program's own functions of these names go before the library's, which are there under other names for this very use.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static inline void count(size_t size) {
    if (atomic_load_explicit(&counting, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&total, (long)size, memory_order_relaxed);
    }
}

int ca_counts(void) { return 1; }

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    count(n * size);
    return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size) {
    count(size);
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    count(size);
    *memory = __libc_memalign(alignment, size);
    return *memory || size == 0 ? 0 : ENOMEM;
}

#else

int ca_counts(void) { return 0; }

#endif
