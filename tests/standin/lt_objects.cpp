// SPDX-License-Identifier: Apache-2.0
//
// Objects are never freed: no new one lies where a destroyed one did, so each use of a destroyed
// one is seen.
#include <map>
#include <mutex>

#include "tests/standin/lt.h"
#include "tests/standin/standin.h"

static std::mutex lock;

// All that were ever made, and whether they are alive. Never destroyed itself: the program may use
// the library until it ends.
static std::map<const void *, bool> &objects(void) {
    static std::map<const void *, bool> &all = *new std::map<const void *, bool>;
    return all;
}

static const char *name_of(lt_kind kind) {
    static const char *const names[] = {"handle", "matrix product's descriptor", "matrix layout",
                                        "preference"};
    return names[(int)kind];
}

struct lt_object *lt_object_create(lt_kind kind) {
    struct lt_object *object = new lt_object();
    object->kind = kind;
    const std::lock_guard<std::mutex> guard(lock);
    objects()[object] = true;
    standin_count_handles(1);
    return object;
}

// The lock is held.
static struct lt_object *find_alive(const void *object, lt_kind kind) {
    const auto found = objects().find(object);
    if (found == objects().end()) {
        standin_misuse("cublasLt: %p is no %s", object, name_of(kind));
    }
    struct lt_object *known = static_cast<struct lt_object *>(const_cast<void *>(object));
    if (!found->second) {
        standin_misuse("cublasLt: a %s is used after it was destroyed", name_of(known->kind));
    }
    if (known->kind != kind) {
        standin_misuse("cublasLt: a %s is used as a %s", name_of(known->kind), name_of(kind));
    }
    return known;
}

struct lt_object *lt_object_get(const void *object, lt_kind kind) {
    const std::lock_guard<std::mutex> guard(lock);
    return find_alive(object, kind);
}

void lt_object_destroy(const void *object, lt_kind kind) {
    const std::lock_guard<std::mutex> guard(lock);
    (void)find_alive(object, kind);
    objects()[object] = false;
    standin_count_handles(-1);
}
