// SPDX-License-Identifier: Apache-2.0
//
// What each byte holds: nothing (no one's memory), nothing yet, a cp.async under way, or data.
#include <string.h>

#include "checker.h"

namespace simt {

content *contents;
// Static shared memory that this block has written, as indices.
static size_t touched_begin = SIZE_MAX, touched_end;

void contents_open(void) {
    contents = static_cast<content *>(reserve(CHECKED_ARENA_NBYTES + variables_nbytes()));
    mark_static_shared(contents + CHECKED_ARENA_NBYTES);
}

static const void *address_of(size_t index) {
    const uintptr_t address = index < CHECKED_ARENA_NBYTES
                                  ? arena_start + index
                                  : variables_start() + (index - CHECKED_ARENA_NBYTES);
    return reinterpret_cast<const void *>(address);
}

void set_contents(size_t index, size_t nbytes, content now) {
    memset(contents + index, (int)now, nbytes);
}

void describe_index(size_t index, char *out, size_t cap) {
    if (index < CHECKED_ARENA_NBYTES) {
        describe_memory(address_of(index), out, cap);
    } else {
        describe_variable(address_of(index), out, cap);
    }
}

static bool all_are(size_t index, size_t nbytes, content wanted) {
    uint64_t word, pattern;
    memset(&pattern, (int)wanted, sizeof pattern);
    size_t i = 0;
    for (; i + 8 <= nbytes; i += 8) {
        memcpy(&word, contents + index + i, 8);
        if (word != pattern) return false;
    }
    for (; i < nbytes; i++) {
        if (contents[index + i] != wanted) return false;
    }
    return true;
}

// An access with a byte that is not as it should be.
static bool tell(size_t index, size_t nbytes, access kind, const void *pc) {
    const char *verb = kind == access::read     ? "reads"
                       : kind == access::atomic ? "changes"
                                                : "writes";
    char where[300];
    for (size_t i = 0; i < nbytes; i++) {
        const content found = contents[index + i];
        if (found == content::none) {
            describe_index(index + i, where, sizeof where);
            report(fault::out_of_bounds, pc, nullptr, "%s %zu bytes, of them %s", verb, nbytes,
                   where);
            return false;
        }
        if (found == content::pending && kind != access::async_end) {
            describe_index(index + i, where, sizeof where);
            report(fault::async_copy, pc, nullptr,
                   "%s %zu bytes that a cp.async writes which is not waited for: %s", verb, nbytes,
                   where);
            return true;
        }
    }
    if (kind != access::read && kind != access::atomic) return true;
    for (size_t i = 0; i < nbytes; i++) {
        if (contents[index + i] != content::fresh) continue;
        describe_index(index + i, where, sizeof where);
        report(fault::uninitialised, pc, nullptr, "%s %zu bytes never written, from %s", verb,
               nbytes, where);
        return true;
    }
    return true;
}

bool check_contents(size_t index, size_t nbytes, access kind, const void *pc) {
    if (!all_are(index, nbytes, content::written) && !tell(index, nbytes, kind, pc)) return false;
    if (kind == access::read) return true;
    set_contents(index, nbytes, kind == access::async_begin ? content::pending : content::written);
    if (index >= CHECKED_ARENA_NBYTES) {
        if (index < touched_begin) touched_begin = index;
        if (index + nbytes > touched_end) touched_end = index + nbytes;
    }
    return true;
}

static void forget_static_shared(void) {
    for (size_t i = touched_begin; i < touched_end; i++) {
        if (contents[i] != content::none) contents[i] = content::fresh;
    }
    touched_begin = SIZE_MAX;
    touched_end = 0;
}

void contents_begin_block(void) {
    const unsigned char *dynamic = running_block().dynamic_shared;
    set_contents(0, WINDOW_NBYTES, content::none);
    set_contents((uintptr_t)dynamic - arena_start, running->shared_nbytes, content::fresh);
    forget_static_shared();
}

}  // namespace simt
