// SPDX-License-Identifier: Apache-2.0
//
// What our safetensors reader makes of files, for tests/differential/safetensors_reader.py. Each
// line of standard input is the hex of one file; each line of output is "ok" and, in order of name,
// HEXNAME:DTYPE:DIM,DIM:HEXBYTES for each tensor, or "no" and the reason.
#include "tests/check.h"
#include "weights/safetensors.h"

enum { FILE_MAX = 1 << 16 };

static void print_hex(struct span bytes) {
    for (size_t i = 0; i < bytes.len; i++) printf("%02x", (unsigned)(unsigned char)bytes.ptr[i]);
}

static void print_tensor(const struct named_tensor *tensor) {
    printf(" ");
    print_hex(tensor->name);
    printf(":%.*s:", (int)tensor->dtype_name.len, tensor->dtype_name.ptr);
    for (size_t i = 0; i < tensor->n_dims && i < TENSOR_DIMS_MAX; i++) {
        printf("%s%zu", i > 0 ? "," : "", tensor->dims[i]);
    }
    printf(":");
    print_hex(tensor->bytes);
}

int main(void) {
    static char line[2 * FILE_MAX + 2], bytes[FILE_MAX];
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t len = 0;
        unsigned byte;
        for (; sscanf(line + 2 * len, "%2x", &byte) == 1; len++) bytes[len] = (char)byte;
        struct tensor_table table;
        struct error error = {""};
        if (safetensors_parse(bytes, len, "x", &table, &error) == STATUS_OK) {
            printf("ok");
            for (size_t i = 0; i < table.n_tensors; i++) print_tensor(&table.tensors[i]);
            printf("\n");
            tensor_table_free(&table);
        } else {
            printf("no %s\n", error.text);
        }
    }
    return 0;
}
