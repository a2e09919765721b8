// SPDX-License-Identifier: Apache-2.0
//
// A directory appears whole or not at all: every system call that makes it fails in turn, on
// systems with an exchange of names and on those without.
#include "host/job/convert_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], target[TEMP_PATH_MAX + 8];

// ---- the system, which fails at one call

static int calls_left = -1;   // until one fails; -1: none will
static bool lacks_renameat2;  // as some file systems do
static bool n_failed;

// Behind the linker's --wrap: __real_x is the function, __wrap_x is called in its place.
int __real_mkdir(const char *path, mode_t mode);
int __real_openat(int fd, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t n);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_rename(const char *from, const char *to);
long __real_syscall(long number, ...);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_openat(int fd, const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
long __wrap_syscall(long number, ...);

static bool fails(void) {
    if (calls_left < 0 || calls_left-- > 0) return false;
    n_failed = true;
    errno = EIO;
    return true;
}

int __wrap_mkdir(const char *path, mode_t mode) {
    return fails() ? -1 : __real_mkdir(path, mode);
}

int __wrap_openat(int fd, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    return fails() ? -1 : __real_openat(fd, path, flags, mode);
}

// Much is not written for real: it only has to lead to a sync.
ssize_t __wrap_write(int fd, const void *bytes, size_t n) {
    if (fails()) return -1;
    return n > 1 << 20 ? (ssize_t)n : __real_write(fd, bytes, n);
}

int __wrap_fsync(int fd) {
    return fails() ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd) {
    return fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_rename(const char *from, const char *to) {
    return fails() ? -1 : __real_rename(from, to);
}

long __wrap_syscall(long number, ...) {
    va_list args;
    va_start(args, number);
    long a[5];
    for (int i = 0; i < 5; i++) a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_renameat2 && fails()) return -1;
    if (number == SYS_renameat2 && lacks_renameat2) {
        errno = EINVAL;
        return -1;
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4]);
}

// ---- looking at it

static void inside(char path[TEMP_PATH_MAX], const char *name) {
    CHECK(snprintf(path, TEMP_PATH_MAX, "%s/%s", dir, name) < TEMP_PATH_MAX);
}

static int count_entries(const char *path) {
    DIR *entries = opendir(path);
    if (entries == NULL) return -1;
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(entries);
    return n;
}

static void check_content(const char *name, const char *want) {
    char path[TEMP_PATH_MAX], text[100] = "";
    inside(path, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    if (file == NULL) return;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    CHECK_STR(text, want);
}

static void make_old(const char *name) {
    char path[TEMP_PATH_MAX];
    inside(path, name);
    CHECK_INT(mkdir(path, 0777), 0);
    temp_dir_write_text(path, "config.json", "old");
    temp_dir_write_text(path, "more", "old");
}

static void remove_target(const char *name) {
    char path[TEMP_PATH_MAX];
    inside(path, name);
    temp_dir_remove(path);
}

static enum status write_file(struct convert_directory *directory, const char *name,
                              const char *text, struct error *error) {
    enum status status = convert_directory_begin(directory, name, error);
    if (status == STATUS_OK) {
        status = convert_directory_write(directory, text, strlen(text), error);
    }
    return status == STATUS_OK ? convert_directory_end(directory, error) : status;
}

// Two files, one of which has to be synced on the way.
static enum status make(bool replace, struct error *error) {
    static char much[2 << 20];
    struct convert_directory *directory;
    enum status status = convert_directory_open(target, replace, &directory, error);
    if (status == STATUS_OK) status = convert_directory_begin(directory, "large", error);
    for (int i = 0; status == STATUS_OK && i < 17; i++) {
        status = convert_directory_write(directory, much, sizeof much, error);
    }
    if (status == STATUS_OK) status = convert_directory_end(directory, error);
    if (status == STATUS_OK) status = write_file(directory, "config.json", "new", error);
    if (status == STATUS_OK) status = convert_directory_commit(directory, error);
    convert_directory_close(directory);
    return status;
}

static void check_failures_in_turn(bool replace) {
    int n = 0;
    for (bool done = false; !done; n++) {
        struct error error = {""};
        if (replace) make_old("new");
        n_failed = false;
        calls_left = n;
        const enum status status = make(replace, &error);
        calls_left = -1;
        done = !n_failed;
        CHECK_INT(status, done ? STATUS_OK : STATUS_IO);
        if (done) {
            CHECK_INT(count_entries(target), 2);
            check_content("new/config.json", "new");
        } else {
            CHECK_CONTAINS(error.text, "new");
            CHECK_CONTAINS(error.text, "Input/output error");
            CHECK_INT(count_entries(target), replace ? 2 : -1);
            if (replace) check_content("new/more", "old");
        }
        CHECK_INT(count_entries(dir), done || replace ? 1 : 0);
        if (done || replace) remove_target("new");
    }
    CHECK(n > 12);  // so many calls there are at least
}

static void every_failure(void) {
    for (int lacks = 0; lacks < 2; lacks++) {
        lacks_renameat2 = lacks != 0;
        check_failures_in_turn(false);
        check_failures_in_turn(true);
    }
    lacks_renameat2 = false;
}

// ---- what dead attempts left, and others that live

static void sweeping(void) {
    static const char *const others[] = {".new.zz.tmp", ".newer.1-2-3.tmp", "new.1-2-3.tmp",
                                         ".new.1-2-3.tmp2", ".new.meta.json"};
    struct convert_directory *directory;
    make_old(".new.65a1-2f-3b.tmp");
    make_old(".new.1-2-3.old");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) make_old(others[i]);
    // The dead attempt had moved the old directory aside: it gets its name back.
    CHECK_INT(convert_directory_open(target, false, &directory, NULL), STATUS_USAGE);
    CHECK(directory == NULL);
    CHECK_INT(count_entries(dir), 1 + (int)ARRAY_LEN(others));
    check_content("new/config.json", "old");
    // Where the name is taken, what lies aside is of no use.
    make_old(".new.1-2-4.old");
    CHECK_INT(make(true, NULL), STATUS_OK);
    check_content("new/config.json", "new");
    CHECK_INT(count_entries(dir), 1 + (int)ARRAY_LEN(others));
    remove_target("new");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) remove_target(others[i]);
}

static void locking(void) {
    struct convert_directory *first, *second;
    struct error error = {""};
    CHECK_INT(convert_directory_open(target, false, &first, NULL), STATUS_OK);
    CHECK_INT(convert_directory_open(target, false, &second, &error), STATUS_LOCKED);
    CHECK_CONTAINS(error.text, "another run");
    convert_directory_close(second);
    // Somebody who knows of no locks makes a directory of that name meanwhile.
    CHECK_INT(mkdir(target, 0777), 0);
    CHECK_INT(convert_directory_commit(first, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "File exists");
    convert_directory_close(first);
    CHECK_INT(count_entries(target), 0);
    CHECK_INT(count_entries(dir), 1);
    CHECK_INT(rmdir(target), 0);
}

static void check_refused(const char *path, bool replace, enum status status, const char *part) {
    struct convert_directory *directory;
    struct error error = {""};
    CHECK_INT(convert_directory_open(path, replace, &directory, &error), status);
    CHECK_CONTAINS(error.text, part);
    CHECK(directory == NULL);
}

static void refusals(void) {
    char path[TEMP_PATH_MAX];
    static const char *const nameless[] = {"", ".", "..", "/", "//", "a/..", "a/./"};
    for (size_t i = 0; i < ARRAY_LEN(nameless); i++) {
        check_refused(nameless[i], true, STATUS_USAGE, "name");
    }
    inside(path, "none/new");
    check_refused(path, false, STATUS_IO, "No such file");
    make_old("new");
    check_refused(target, false, STATUS_USAGE, "--force");
    inside(path, "new/");
    check_refused(path, false, STATUS_USAGE, "--force");
    inside(path, "new/deep");
    CHECK_INT(mkdir(path, 0777), 0);
    check_refused(target, true, STATUS_USAGE, "the directory deep");
    CHECK_INT(rmdir(path), 0);
    inside(path, "new/config.json");
    CHECK_INT(unlink(path), 0);
    check_refused(target, true, STATUS_USAGE, "no config.json");
    inside(path, "link");
    CHECK_INT(symlink(target, path), 0);
    check_refused(path, true, STATUS_USAGE, "not a directory");
    CHECK_INT(unlink(path), 0);
    inside(path, "new/more");
    check_refused(path, true, STATUS_USAGE, "not a directory");
    CHECK_INT(unlink(path), 0);
    CHECK_INT(count_entries(target), 0);
    CHECK_INT(make(true, NULL), STATUS_OK);  // an empty one goes
    remove_target("new");
    CHECK_INT(count_entries(dir), 0);
}

int main(void) {
    temp_dir_make(dir);
    snprintf(target, sizeof target, "%s/new", dir);
    every_failure();
    sweeping();
    locking();
    refusals();
    temp_dir_remove(dir);
    return check_result();
}
