/* LD_PRELOAD: calls that write or synchronise a file whose path contains SHIM_PATH are counted; those numbered SHIM_FIRST to
   SHIM_LAST fail with EIO before they do anything. SHIM_CALL is "write" (write, pwrite, ftruncate) or "sync" (fsync, fdatasync).
   Each failed call adds a line to the file SHIM_LOG. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static void note(const char *what, long number) {
    char line[128];
    int length = snprintf(line, sizeof line, "%s %ld\n", what, number);
    int log = open(getenv("SHIM_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (log >= 0) {
        ssize_t (*really)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
        if (really(log, line, length) != length) abort();
        close(log);
    }
}

static int fails(const char *kind, int fd) {
    const char *wanted = getenv("SHIM_CALL");
    char link[64], path[512];
    if (!wanted || strcmp(wanted, kind) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, getenv("SHIM_PATH"))) return 0;
    long number = ++calls;
    if (number < atol(getenv("SHIM_FIRST")) || number > atol(getenv("SHIM_LAST"))) return 0;
    note("failed", number);
    errno = EIO;
    return 1;
}

#define REAL(type, name, ...) type (*really)(__VA_ARGS__) = dlsym(RTLD_NEXT, name)

int fsync(int fd) { REAL(int, "fsync", int); return fails("sync", fd) ? -1 : really(fd); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return fails("sync", fd) ? -1 : really(fd); }
int ftruncate(int fd, off_t n) { REAL(int, "ftruncate", int, off_t); return fails("write", fd) ? -1 : really(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(int, "ftruncate64", int, off64_t); return fails("write", fd) ? -1 : really(fd, n); }
ssize_t write(int fd, const void *p, size_t n) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return fails("write", fd) ? -1 : really(fd, p, n);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return fails("write", fd) ? -1 : really(fd, p, n, at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fails("write", fd) ? -1 : really(fd, p, n, at);
}
