// SPDX-License-Identifier: Apache-2.0
//
// What our JSON reader makes of texts, for tests/differential/json_reader.py to compare. Each line
// of standard input is the hex of one text; each line of output is "ok" and the value in a plain
// notation, or "no", the offset and the reason:
//   n null   t true   f false   #RAW=DOUBLE=INTEGER number   "HEX string   [ ... ] array   { key
//   value ... }

#include "host/base/json.h"
#include "tests/check.h"

enum { TEXT_MAX = 1 << 16 };

static void print_string(struct json_value string) {
    static char out[TEXT_MAX];
    size_t len = json_string(string, out);
    printf(" \"");
    for (size_t i = 0; i < len; i++) printf("%02x", (unsigned)(unsigned char)out[i]);
}

static void print_number(struct json_value number) {
    printf(" #%.*s=", (int)number.raw.len, number.raw.ptr);
    double real = 0;
    int64_t integer = 0;
    if (json_double(number, &real)) {
        printf("%.17g", real);
    } else {
        printf("inf");
    }
    if (json_int64(number, &integer)) printf("=%lld", (long long)integer);
}

static void print_value(struct json_value value) {
    bool truth = false;
    switch (value.type) {
        case JSON_NULL:
            printf(" n");
            return;
        case JSON_BOOL:
            json_bool(value, &truth);
            printf(truth ? " t" : " f");
            return;
        case JSON_NUMBER:
            print_number(value);
            return;
        case JSON_STRING:
            print_string(value);
            return;
        case JSON_ARRAY:
        case JSON_OBJECT:
            break;
    }
    bool object = value.type == JSON_OBJECT;
    printf(object ? " {" : " [");
    for (struct json_walk walk = json_walk(value); json_next(&walk);) {
        if (object) print_string(walk.key);
        print_value(walk.value);
    }
    printf(object ? " }" : " ]");
}

int main(void) {
    static char line[2 * TEXT_MAX + 2], text[TEXT_MAX];
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t len = 0;
        unsigned byte;
        for (; sscanf(line + 2 * len, "%2x", &byte) == 1; len++) text[len] = (char)byte;
        struct json_value value;
        struct json_fault fault = {0};
        if (json_parse((struct span){.ptr = text, .len = len}, &value, &fault)) {
            printf("ok");
            print_value(value);
            printf("\n");
        } else {
            printf("no %zu %s\n", fault.offset, fault.what);
        }
    }
    return 0;
}
