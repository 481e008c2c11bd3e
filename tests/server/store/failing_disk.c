/* Preloaded into a server: while a file of that name lies in $FAILING_DISK, calls for what is below
   the folder that is written in it fail; `fsync` with EIO, `full` with ENOSPC. While `clock` is
   there, the wall clock is an hour late. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int control(const char *name, char *text, size_t size) {
    const char *folder = getenv("FAILING_DISK");
    char path[4096];
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    return 1;
}

static int fails(const char *name, int fd) {
    int before = errno, hit = 0;
    char below[4096], link[64], path[4096];
    if (control(name, below, sizeof below)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        hit = !strncmp(path, below, strlen(below));
    }
    errno = before;
    return hit;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

int fsync(int fd) {
    if (fails("fsync", fd)) { errno = EIO; return -1; }
    return REAL("fsync", int (*)(int))(fd);
}

int fdatasync(int fd) {
    if (fails("fsync", fd)) { errno = EIO; return -1; }
    return REAL("fdatasync", int (*)(int))(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
    if (fd > 2 && fails("full", fd)) { errno = ENOSPC; return -1; }
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    if (fails("full", fd)) { errno = ENOSPC; return -1; }
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (fails("full", fd)) { errno = ENOSPC; return -1; }
    return REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, data, size, at);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    char text[8];
    int result = REAL("clock_gettime", int (*)(clockid_t, struct timespec *))(id, now);
    if (!result && id == CLOCK_REALTIME && control("clock", text, sizeof text)) now->tv_sec -= 3600;
    return result;
}
