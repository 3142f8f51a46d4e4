/* A library for LD_PRELOAD that counts the allocations of a program's own code, and who made them.
 *
 * An allocation is the program's own where the call comes from the program's text, or from the C library on its behalf
 * (strdup, open_memstream, qsort). What other libraries allocate, also when the program has called them, is theirs.
 * Mapping memory counts, too.
 *
 * The counts lie in the file that $ESPALIER_OWN_ALLOCATIONS names, which whoever watches may read at any time: the
 * struct below, in the machine's own byte order. Without the variable nothing is counted. */
#undef _FILE_OFFSET_BITS /* which would make mmap another name of mmap64: both are here */

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CALLERS_MAX = 255, FRAMES_MAX = 32 };

struct record {
    atomic_uint_least64_t own, all;
    struct {
        atomic_uint_least64_t address; /* of the return, as addr2line wants it; 0 for a free place */
        atomic_uint_least64_t count;
    } callers[CALLERS_MAX];
};

/* Where an object's code lies. */
struct text {
    uintptr_t base, begin, end;
};

static struct record *record; /* NULL while nothing is counted */
static struct text program, c_library;
static __thread __attribute__((tls_model("initial-exec"))) bool counting; /* the unwinder may allocate, too */

/* The C library's own names: a lookup of the real ones would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool in(const struct text *text, uintptr_t address)
{
    return address >= text->begin && address < text->end;
}

/* ---- who calls ---- */

/* The first caller outside the C library; 0 where there is none. The frames begin with those of this library, which
 * ends where the C library's begin. */
static uintptr_t beyond_c_library(void)
{
    void *frames[FRAMES_MAX];
    int depth = backtrace(frames, FRAMES_MAX), at = 0;

    while (at < depth && !in(&c_library, (uintptr_t)frames[at]))
        at++;
    while (at < depth && in(&c_library, (uintptr_t)frames[at]))
        at++;
    return at < depth ? (uintptr_t)frames[at] : 0;
}

static void count_caller(uintptr_t address)
{
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        uint_least64_t there = 0;
        if (atomic_compare_exchange_strong(&record->callers[i].address, &there, address) || there == address) {
            atomic_fetch_add(&record->callers[i].count, 1);
            return;
        }
    }
}

static void count(void *return_address)
{
    uintptr_t caller = (uintptr_t)return_address;

    if (!record || counting)
        return;
    counting = true;
    atomic_fetch_add(&record->all, 1);
    if (in(&c_library, caller))
        caller = beyond_c_library();
    if (in(&program, caller)) {
        count_caller(caller - program.base);
        atomic_fetch_add(&record->own, 1);
    }
    counting = false;
}

/* ---- start ---- */

static bool holds(const struct dl_phdr_info *object, const ElfW(Phdr) * part, uintptr_t address)
{
    uintptr_t begin = object->dlpi_addr + part->p_vaddr;
    return address >= begin && address < begin + part->p_memsz;
}

static int look_at(struct dl_phdr_info *object, size_t size, void *first)
{
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        struct text *text = *(bool *)first                                  ? &program
                            : holds(object, part, (uintptr_t)__libc_malloc) ? &c_library
                                                                            : NULL;
        uintptr_t begin = object->dlpi_addr + part->p_vaddr;
        if (text)
            *text = (struct text){object->dlpi_addr, begin, begin + part->p_memsz};
    }
    *(bool *)first = false; /* the first object is the program */
    return 0;
}

static struct record *open_record(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *memory = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct record)) == 0)
        memory = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

__attribute__((constructor)) static void start(void)
{
    bool first = true;
    void *frame;

    dl_iterate_phdr(look_at, &first);
    backtrace(&frame, 1); /* loads the unwinder, which allocates */
    record = open_record(getenv("ESPALIER_OWN_ALLOCATIONS"));
}

/* ---- what is counted ---- */

#define COUNT() count(__builtin_return_address(0))

void *malloc(size_t size)
{
    COUNT();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    COUNT();
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    COUNT();
    return __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t number, size_t size)
{
    size_t bytes;

    COUNT();
    if (!__builtin_mul_overflow(number, size, &bytes))
        return __libc_realloc(memory, bytes);
    errno = ENOMEM;
    return NULL;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    COUNT();
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    COUNT();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    COUNT();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *mmap(void *wish, size_t size, int protection, int flags, int fd, off_t offset)
{
    COUNT();
    return (void *)syscall(SYS_mmap, wish, size, protection, flags, fd, offset);
}

void *mmap64(void *wish, size_t size, int protection, int flags, int fd, off64_t offset)
{
    COUNT();
    return (void *)syscall(SYS_mmap, wish, size, protection, flags, fd, offset);
}

void *mremap(void *memory, size_t size, size_t larger, int flags, ...)
{
    va_list rest;

    COUNT();
    va_start(rest, flags);
    void *wish = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
    va_end(rest);
    return (void *)syscall(SYS_mremap, memory, size, larger, flags, wish);
}
