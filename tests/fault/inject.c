// SPDX-License-Identifier: Apache-2.0
//
// Which call fails: plans, callers, counting, telling. The calls themselves are in inject_calls.c.
#define _GNU_SOURCE
#include "tests/fault/inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

enum { PLANS_MAX = 4, RANGES_MAX = 16 };

struct plan {
    enum fault_kind kind;
    long n;
    char action[16];
    bool on;  // for every later call too
};

// A loaded file whose calls count.
struct range {
    uintptr_t begin, end, base;
    const char *name;
};

static const char *const kind_names[FAULT_KINDS] = {
    [FAULT_ALLOC] = "alloc",     [FAULT_MAP] = "map",           [FAULT_OPEN] = "open",
    [FAULT_READ] = "read",       [FAULT_WRITE] = "write",       [FAULT_SYNC] = "sync",
    [FAULT_CLOSE] = "close",     [FAULT_RENAME] = "rename",     [FAULT_UNLINK] = "unlink",
    [FAULT_MKDIR] = "mkdir",     [FAULT_TRUNCATE] = "truncate", [FAULT_LIST] = "list",
    [FAULT_LOCK] = "lock",       [FAULT_STAT] = "stat",         [FAULT_THREAD] = "thread",
    [FAULT_INFLATE] = "inflate", [FAULT_DEFLATE] = "deflate",   [FAULT_PROCESS] = "process",
    [FAULT_POLL] = "poll",       [FAULT_CLOCK] = "clock",       [FAULT_DISK] = "disk",
    [FAULT_PRODUCT] = "product", [FAULT_TEXT] = "text",
};

// Of errno and of zlib; zlib's are negative or, where the calls that have them say so, positive.
static const struct {
    const char *name;
    int code;
} codes[] = {
    {"ENOMEM", ENOMEM},
    {"EIO", EIO},
    {"EINTR", EINTR},
    {"EAGAIN", EAGAIN},
    {"ENOSPC", ENOSPC},
    {"EDQUOT", EDQUOT},
    {"EFBIG", EFBIG},
    {"EPIPE", EPIPE},
    {"EACCES", EACCES},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"EROFS", EROFS},
    {"EXDEV", EXDEV},
    {"ESTALE", ESTALE},
    {"EPERM", EPERM},
    {"EINVAL", EINVAL},
    {"ENOSYS", ENOSYS},
    {"ENOLCK", ENOLCK},
    {"EBUSY", EBUSY},
    {"EWOULDBLOCK", EWOULDBLOCK},
    {"Z_MEM_ERROR", Z_MEM_ERROR},
    {"Z_DATA_ERROR", Z_DATA_ERROR},
    {"Z_STREAM_ERROR", Z_STREAM_ERROR},
    {"Z_BUF_ERROR", Z_BUF_ERROR},
};

static struct plan plans[PLANS_MAX];
static int n_plans;
static struct range ranges[RANGES_MAX];
static int n_ranges;
static atomic_long calls[FAULT_KINDS];
static atomic_long shift;
static const char *file;
static bool armed;

// Without the C library, whose calls are ours.
static void tell(const char *text, size_t len) {
    if (file == NULL) return;
    const long fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0) return;
    syscall(SYS_write, fd, text, len);
    syscall(SYS_close, fd);
}

_Noreturn static void refuse(const char *what, const char *text) {
    char line[256];
    const int n = snprintf(line, sizeof line, "inject: %s: %s\n", what, text);
    syscall(SYS_write, STDERR_FILENO, line, n);
    _exit(99);
}

static bool counts(const char *callers, const char *name) {
    for (const char *at = callers; *at != '\0';) {
        const size_t len = strcspn(at, ",");
        if (len > 0 && strncmp(name, at, len) == 0) return true;
        at += len + (at[len] == ',');
    }
    return false;
}

static int add_range(struct dl_phdr_info *info, size_t size, void *callers) {
    (void)size;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    if (*name == '\0') name = "wader";  // the program itself
    if (!counts(callers, name)) return 0;
    for (int i = 0; i < info->dlpi_phnum && n_ranges < RANGES_MAX; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0) continue;
        const uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        ranges[n_ranges++] = (struct range){begin, begin + part->p_memsz, info->dlpi_addr, name};
    }
    return 0;
}

static const struct range *range_of(const void *caller) {
    const uintptr_t at = (uintptr_t)caller;
    for (int i = 0; i < n_ranges; i++) {
        if (at >= ranges[i].begin && at < ranges[i].end) return &ranges[i];
    }
    return NULL;
}

static void parse_plan(const char *text) {
    char kind[16], on[4] = "";
    struct plan *plan = &plans[n_plans];
    if (n_plans == PLANS_MAX) refuse("too many plans", text);
    const int n = sscanf(text, "%15[^:]:%ld:%15[^:,]:%3[^,]", kind, &plan->n, plan->action, on);
    if (n < 3 || (n == 4 && strcmp(on, "on") != 0)) refuse("KIND:N:ACTION[:on] is wanted", text);
    plan->on = n == 4;
    for (int k = 0; k < FAULT_KINDS; k++) {
        if (strcmp(kind, kind_names[k]) != 0) continue;
        plan->kind = (enum fault_kind)k;
        n_plans++;
        return;
    }
    refuse("no such kind", kind);
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("FAULT"), *callers = getenv("FAULT_CALLERS");
    file = getenv("FAULT_FILE");
    for (; text != NULL && *text != '\0'; text += text[0] == ',') {
        parse_plan(text);
        text += strcspn(text, ",");
    }
    static char names[256];
    snprintf(names, sizeof names, "%s", callers != NULL ? callers : "wader");
    dl_iterate_phdr(add_range, names);
    armed = true;
}

__attribute__((destructor)) static void end(void) {
    char line[1024];
    int len = snprintf(line, sizeof line, "calls");
    for (int k = 0; k < FAULT_KINDS; k++) {
        len += snprintf(line + len, sizeof line - (size_t)len, " %s=%ld", kind_names[k], calls[k]);
    }
    line[len++] = '\n';
    tell(line, (size_t)len);
}

static void tell_fired(const struct plan *plan, long n, const char *function,
                       const struct range *range, const void *caller) {
    char line[256];
    // Not where it returns to, but the call before: the line that a debugger would show.
    const int len =
        snprintf(line, sizeof line, "fired %s %ld %s %s+0x%lx\n", kind_names[plan->kind], n,
                 function, range->name, (unsigned long)((uintptr_t)caller - range->base - 1));
    tell(line, (size_t)len);
}

static struct fault strike(const struct plan *plan) {
    if (strcmp(plan->action, "kill") == 0 || strcmp(plan->action, "stop") == 0) {
        const int number = plan->action[0] == 'k' ? SIGKILL : SIGSTOP;
        syscall(SYS_kill, syscall(SYS_getpid), number);
        return (struct fault){EFFECT_NONE, 0};
    }
    if (strcmp(plan->action, "short") == 0) return (struct fault){EFFECT_SHORT, 0};
    if (strcmp(plan->action, "lie") == 0) return (struct fault){EFFECT_LIE, 0};
    if (strcmp(plan->action, "back") == 0 || strcmp(plan->action, "ahead") == 0) {
        shift = plan->action[0] == 'b' ? -86400 : 86400;
        return (struct fault){EFFECT_NONE, 0};
    }
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(plan->action, codes[i].name) == 0) {
            return (struct fault){EFFECT_ERROR, codes[i].code};
        }
    }
    refuse("no such action", plan->action);
}

static struct fault count(enum fault_kind kind, const char *function, const struct range *range,
                          const void *caller) {
    struct fault fault = {EFFECT_NONE, 0};
    const long n = atomic_fetch_add(&calls[kind], 1) + 1;
    for (int i = 0; i < n_plans; i++) {
        const struct plan *plan = &plans[i];
        if (plan->kind != kind || n < plan->n || (n > plan->n && !plan->on)) continue;
        if (n == plan->n) tell_fired(plan, n, function, range, caller);
        fault = strike(plan);
    }
    return fault;
}

struct fault fault_of(enum fault_kind kind, const char *function, const void *caller) {
    const struct range *range = armed ? range_of(caller) : NULL;
    if (range == NULL) return (struct fault){EFFECT_NONE, 0};
    if (kind == FAULT_WRITE || kind == FAULT_SYNC || kind == FAULT_RENAME || kind == FAULT_UNLINK ||
        kind == FAULT_MKDIR || kind == FAULT_TRUNCATE || kind == FAULT_CLOSE ||
        kind == FAULT_LOCK || kind == FAULT_OPEN) {
        (void)count(FAULT_DISK, function, range, caller);
    }
    return count(kind, function, range, caller);
}

long fault_clock_shift(void) {
    return shift;
}

void *fault_next(void **slot, const char *name) {
    void *found = __atomic_load_n(slot, __ATOMIC_RELAXED);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        __atomic_store_n(slot, found, __ATOMIC_RELAXED);
    }
    return found;
}
