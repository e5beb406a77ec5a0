/* Preloaded: counts the calls of this process that concern files below a folder, and spoils one of them.

   fault_arm(root, how, at, error) begins to count; call number `at` (from 1) is spoilt as `how` says, so are, from
   FULL on, those after it. fault_log() gives a line `name path` for each call counted. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { COUNT, BEFORE, AFTER, TORN, SHORT, FAIL, DONE, FULL, DEAD };

#define FDS 4096
static char root[PATH_MAX], log_text[1 << 20], names[FDS][160];
static size_t root_length, log_length;
static int how, spoil_error, armed;
static long at, calls;

void fault_arm(const char *path, int mode, long number, int error)
{
    snprintf(root, sizeof root, "%s", path);
    root_length = strlen(root);
    how = mode, at = number, spoil_error = error, calls = 0, log_length = 0, armed = 1;
    log_text[0] = 0;
}

const char *fault_log(void)
{
    armed = 0;
    return log_text;
}

static int ours(const char *path)
{
    return armed && path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static const char *name_of(int fd)
{
    return armed && fd >= 0 && fd < FDS && names[fd][0] ? names[fd] : NULL;
}

static const char *below(int folder, const char *path, char *text)
{
    if (folder == AT_FDCWD || (path && path[0] == '/'))
        return path;
    if (!name_of(folder))
        return NULL;
    snprintf(text, PATH_MAX, "%s%s%s", names[folder], path[0] ? "/" : "", path);
    return text;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Count a call; whether it must fail now. `grows`: it needs space on the disk. */
static int spoilt(const char *name, const char *path, int grows)
{
    calls++;
    if (log_length + PATH_MAX < sizeof log_text)
        log_length += snprintf(log_text + log_length, PATH_MAX, "%s %s\n", name, path + root_length);
    if (calls == at && how == BEFORE)
        die();
    errno = spoil_error;
    return (calls == at && how == FAIL) || (calls >= at && (how == DEAD || (how == FULL && grows)));
}

/* What comes after a call that was made; whether it must seem to have failed. */
static int lied(void)
{
    int kept = errno;
    if (calls == at && how == AFTER)
        die();
    errno = calls == at && how == DONE ? spoil_error : kept;
    return calls == at && how == DONE;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define GUARD(condition, label, path, grows, call) \
    if (!(condition)) return call; \
    if (spoilt(label, path, grows)) return -1; \
    __typeof__(call) made = call; \
    if (lied()) return -1; \
    return made

static int remember(int fd, const char *path)
{
    if (fd >= 0 && fd < FDS)
        snprintf(names[fd], sizeof names[fd], "%s", path);
    return fd;
}

#define OPEN(name, opener, folder, ...) \
    mode_t mode = 0; \
    char text[PATH_MAX]; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    REAL(name); \
    const char *full = below(folder, path, text); \
    if (!ours(full)) { int other = real(__VA_ARGS__, flags, mode); if (other >= 0 && other < FDS) names[other][0] = 0; return other; } \
    int writes = (flags & O_ACCMODE) != O_RDONLY; \
    if (spoilt(writes ? "create" : "open", full, writes)) return -1; \
    int fd = remember(real(__VA_ARGS__, flags, mode), full); \
    lied(); \
    return fd

int open(const char *path, int flags, ...) { OPEN(open, real, AT_FDCWD, path); }
int open64(const char *path, int flags, ...) { OPEN(open64, real, AT_FDCWD, path); }
int openat(int folder, const char *path, int flags, ...) { OPEN(openat, real, folder, folder, path); }
int openat64(int folder, const char *path, int flags, ...) { OPEN(openat64, real, folder, folder, path); }

int close(int fd)
{
    REAL(close);
    const char *path = name_of(fd);
    if (!path)
        return real(fd);
    int fails = spoilt("close", path, 0);
    names[fd][0] = 0;
    int made = real(fd); /* the descriptor is gone, whatever close says */
    if (fails) { errno = spoil_error; return -1; }
    return lied() ? -1 : made;
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    const char *path = name_of(fd);
    if (!path)
        return real(fd, data, size);
    if (spoilt("write", path, 1))
        return -1;
    if (calls == at && (how == TORN || how == SHORT)) {
        ssize_t made = real(fd, data, (size + 1) / 2);
        if (how == TORN)
            die();
        return made;
    }
    ssize_t made = real(fd, data, size);
    return lied() ? -1 : made;
}

#define ON_FD(name, grows, type, parameters, ...) \
    type name parameters { REAL(name); const char *path = name_of(fd); GUARD(path, #name, path, grows, real(__VA_ARGS__)); }
#define ON_PATH(label, name, grows, parameters, ...) \
    int name parameters { REAL(name); GUARD(ours(path), label, path, grows, real(__VA_ARGS__)); }

ON_FD(read, 0, ssize_t, (int fd, void *data, size_t size), fd, data, size)
ON_FD(fsync, 1, int, (int fd), fd)
ON_FD(fdatasync, 1, int, (int fd), fd)
ON_FD(flock, 0, int, (int fd, int operation), fd, operation)
ON_FD(ftruncate, 0, int, (int fd, off_t size), fd, size)
ON_FD(ftruncate64, 0, int, (int fd, off64_t size), fd, size)
ON_PATH("stat", stat, 0, (const char *path, struct stat *found), path, found)
ON_PATH("stat", stat64, 0, (const char *path, struct stat64 *found), path, found)
ON_PATH("stat", lstat, 0, (const char *path, struct stat *found), path, found)
ON_PATH("stat", lstat64, 0, (const char *path, struct stat64 *found), path, found)
ON_PATH("mkdir", mkdir, 1, (const char *path, mode_t mode), path, mode)
ON_PATH("rmdir", rmdir, 0, (const char *path), path)
ON_PATH("unlink", unlink, 0, (const char *path), path)
ON_PATH("rename", rename, 1, (const char *path, const char *to), path, to)
ON_PATH("link", link, 1, (const char *path, const char *to), path, to)

int unlinkat(int folder, const char *path, int flags)
{
    char text[PATH_MAX];
    REAL(unlinkat);
    const char *full = below(folder, path, text);
    GUARD(ours(full), flags & AT_REMOVEDIR ? "rmdir" : "unlink", full, 0, real(folder, path, flags));
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
    char text[PATH_MAX];
    REAL(utimensat);
    const char *full = below(folder, path, text);
    GUARD(ours(full), "utimensat", full, 0, real(folder, path, times, flags));
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    if (!ours(path))
        return real(path);
    if (spoilt("open", path, 0))
        return NULL;
    DIR *made = real(path);
    lied();
    if (made)
        remember(dirfd(made), path);
    return made;
}

int closedir(DIR *folder)
{
    REAL(closedir);
    int fd = dirfd(folder);
    const char *path = name_of(fd);
    int fails = path && spoilt("close", path, 0);
    if (path)
        names[fd][0] = 0;
    int made = real(folder);
    if (fails) { errno = spoil_error; return -1; }
    return path && lied() ? -1 : made;
}
