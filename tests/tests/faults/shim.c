/* Stands between the server and the kernel, and does what a bad disk or a bad clock does.
 *
 * Orders are four numbers in a file that is named by MUSTER_FAULT_ORDERS and mapped here, so that a
 * change counts at once. Only files below MUSTER_FAULT_FOLDER are touched. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SYNC_DELAY_MS, SYNC_ERROR, WRITE_ERROR, CLOCK_OFFSET_S, ORDERS };

static volatile int64_t none[ORDERS];
static volatile int64_t *orders = none;
static const char *folder = "";

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MUSTER_FAULT_ORDERS");
    const char *below = getenv("MUSTER_FAULT_FOLDER");
    if (!path || !below) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) abort();
    void *map = mmap(NULL, sizeof(int64_t) * ORDERS, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) abort();
    orders = map;
    folder = below;
}

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && strncmp(path, folder, length) == 0;
}

static int is_ours(int fd) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int fails(int fd) {
    if (!orders[WRITE_ERROR] || !is_ours(fd)) return 0;
    errno = (int)orders[WRITE_ERROR];
    return 1;
}

static int fails_at(const char *path) {
    if (!orders[WRITE_ERROR] || !is_below(path)) return 0;
    errno = (int)orders[WRITE_ERROR];
    return 1;
}

static int synced(int number, int fd) {
    if (orders[SYNC_DELAY_MS] && is_ours(fd)) {
        struct timespec pause = {orders[SYNC_DELAY_MS] / 1000,
                                 orders[SYNC_DELAY_MS] % 1000 * 1000000};
        syscall(SYS_nanosleep, &pause, NULL);
    }
    if (orders[SYNC_ERROR] && is_ours(fd)) {
        errno = (int)orders[SYNC_ERROR];
        return -1;
    }
    if (fails(fd)) return -1;
    return (int)syscall(number, fd);
}

int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
    return fails(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return fails(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return fails(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fails(fd) ? -1 : syscall(SYS_writev, fd, parts, count);
}
int ftruncate(int fd, off_t length) {
    return fails(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}
int ftruncate64(int fd, off64_t length) {
    return fails(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}
int fallocate(int fd, int mode, off_t at, off_t length) {
    return fails(fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, length);
}
int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    return fails(fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, length);
}
int rename(const char *from, const char *to) {
    return fails_at(to) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int unlink(const char *path) {
    return fails_at(path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int mkdir(const char *path, mode_t mode) {
    return fails_at(path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    if ((flags & (O_CREAT | O_TRUNC)) && fails_at(path)) return -1;
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

#define MODE(flags)                                                                               \
    mode_t mode = 0;                                                                              \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                        \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode = va_arg(rest, mode_t);                                                              \
        va_end(rest);                                                                             \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) {
    MODE(flags) return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += orders[CLOCK_OFFSET_S];
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}
time_t time(time_t *to) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (to) *to = exact.tv_sec;
    return exact.tv_sec;
}
