// SPDX-License-Identifier: Apache-2.0
#include "host/bench/host_facts.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utf8proc.h>
#include <zlib.h>

#include "host/base/machine.h"
#include "host/encoder/gemm.h"
#include "host/encoder/kernels.h"

// Whether `flags`, words parted by spaces, has `flag`.
static bool has_flag(const char *flags, const char *flag) {
    const size_t len = strlen(flag);
    for (const char *at = flags; (at = strstr(at, flag)) != NULL; at += len) {
        const char end = at[len];
        if ((at == flags || at[-1] == ' ') && (end == ' ' || end == '\n' || end == '\0')) {
            return true;
        }
    }
    return false;
}

static void keep_flags(const char *line, char *out, size_t cap) {
    static const char *const wanted[] = {"avx2",     "fma",         "f16c",        "avx512f",
                                         "avx512bw", "avx512_vbmi", "avx512vbmi",  "avx512_vbmi2",
                                         "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16",
                                         "amx_tile", "amx_bf16",    "amx_int8",    "sha_ni",
                                         "asimd",    "sve",         "bf16",        "i8mm"};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (!has_flag(line, wanted[i])) continue;
        const int n = snprintf(out + len, cap - len, "%s%s", len > 0 ? " " : "", wanted[i]);
        if (n < 0 || (size_t)n >= cap - len) return;
        len += (size_t)n;
    }
}

// The next line; false at the end and where reading fails, which ferror tells.
static bool next_line(FILE *file, char *line, int cap) {
    while (fgets(line, cap, file) == NULL) {
        if (!ferror(file) || errno != EINTR) return false;
        clearerr(file);
    }
    return true;
}

static void read_cpuinfo(struct host_facts *facts) {
    char line[8192];
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL && errno != ENOENT) facts->cpu_fault = errno;
    snprintf(facts->cpu, sizeof facts->cpu, "a processor that does not say what it is");
    while (file != NULL && next_line(file, line, sizeof line) && line[0] != '\n') {
        const char *colon = strstr(line, ": ");
        if (colon == NULL) continue;
        if (strncmp(line, "model name", 10) == 0) {
            snprintf(facts->cpu, sizeof facts->cpu, "%.*s", (int)strcspn(colon + 2, "\n"),
                     colon + 2);
        } else if (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0) {
            keep_flags(colon + 2, facts->flags, sizeof facts->flags);
        }
    }
    if (file != NULL && ferror(file)) facts->cpu_fault = errno;
    if (file != NULL) fclose(file);
}

static double read_load(void) {
    char line[64];
    double load = 0;
    FILE *file = fopen("/proc/loadavg", "re");
    if (file != NULL && fgets(line, sizeof line, file) != NULL) load = strtod(line, NULL);
    if (file != NULL) fclose(file);
    return load;
}

void host_facts_read(struct host_facts *facts) {
    struct utsname system;
    char gemm[GEMM_LIBRARY_NBYTES];
    *facts = (struct host_facts){0};
    read_cpuinfo(facts);
    if (uname(&system) == 0) {
        snprintf(facts->system, sizeof facts->system, "%.40s %.60s %.20s", system.sysname,
                 system.release, system.machine);
    }
    facts->processors = processors_available();
    facts->processors_online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) facts->memory_nbytes = (uint64_t)pages * (uint64_t)page;
    facts->available_nbytes = memory_available();
    facts->load = read_load();
    const char *name = kernels_choose()->name, *underscore = strrchr(name, '_');
    facts->kernels = underscore != NULL ? underscore + 1 : name;  // "kernels_avx512"
    const char *crypto = OpenSSL_version(OPENSSL_VERSION);        // "OpenSSL 3.0.15 3 Sep 2024"
    const char *version = crypto + strcspn(crypto, " ");
    const size_t len = (size_t)(version - crypto) + (*version != '\0' ? 1 : 0);
    snprintf(facts->libraries, sizeof facts->libraries, "zlib %s, %s, %.*s, utf8proc %s",
             zlibVersion(), gemm_library(gemm), (int)(len + strcspn(crypto + len, " ")), crypto,
             utf8proc_version());
}
