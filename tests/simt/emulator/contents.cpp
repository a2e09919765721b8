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

// Tells of byte `index`, unless that has been told.
static void tell(fault what_kind, const char *what, size_t index, size_t nbytes, access kind,
                 const void *pc) {
    if (!is_news(what_kind, pc, nullptr)) return;
    const char *verb = kind == access::read     ? "reads"
                       : kind == access::atomic ? "changes"
                                                : "writes";
    char where[300];
    describe_index(index, where, sizeof where);
    tell_fault(what_kind, pc, "%s %zu bytes%s: %s", verb, nbytes, what, where);
}

// An access with a byte that is not as it should be. Returns whether all bytes may be touched.
static bool find_fault(size_t index, size_t nbytes, access kind, const void *pc) {
    for (size_t i = index; i < index + nbytes; i++) {
        if (contents[i] != content::none) continue;
        tell(fault::out_of_bounds, "", i, nbytes, kind, pc);
        return false;
    }
    for (size_t i = index; i < index + nbytes && kind != access::async_end; i++) {
        if (contents[i] != content::pending) continue;
        tell(fault::async_copy, " under a cp.async that was not waited for", i, nbytes, kind, pc);
        return true;
    }
    for (size_t i = index; i < index + nbytes; i++) {
        if (contents[i] != content::fresh || (kind != access::read && kind != access::atomic))
            continue;
        tell(fault::uninitialised, " that were never written", i, nbytes, kind, pc);
        return true;
    }
    return true;
}

bool check_contents(size_t index, size_t nbytes, access kind, const void *pc) {
    if (!all_are(index, nbytes, content::written) && !find_fault(index, nbytes, kind, pc))
        return false;
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

void contents_begin_launch(void) {
    set_contents(0, WINDOW_NBYTES, content::none);
}

void contents_begin_block(void) {
    const unsigned char *dynamic = running_block().dynamic_shared;
    set_contents((uintptr_t)dynamic - arena_start, running->shared_nbytes, content::fresh);
    forget_static_shared();
}

}  // namespace simt
