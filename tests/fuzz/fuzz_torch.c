// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a file saved by torch: the tensors of what is accepted lie in the file or in a room
// that is no larger than twice the file, and every byte of them may be read.
#include <assert.h>

#include "weights/dtype.h"
#include "weights/torch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(struct span part, const char *begin, size_t nbytes) {
    return part.ptr >= begin && part.ptr + part.len <= begin + nbytes;
}

static void check_tensor(const struct named_tensor *tensor, const struct model_files *files,
                         struct span file) {
    bool in_room =
        files->n_rooms > 0 && lies_in(tensor->bytes, files->rooms[0].bytes, files->rooms[0].nbytes);
    assert(in_room || lies_in(tensor->bytes, file.ptr, file.len));
    assert(tensor->name.len == 0 || lies_in(tensor->name, file.ptr, file.len));
    if (!tensor->usable) return;
    struct tensor values = tensor->tensor;
    assert(values.n_elements * dtype_size(values.dtype) == tensor->bytes.len);
    for (size_t first = 0; first < values.n_elements; first += 64) {
        float out[64];
        size_t rest = values.n_elements - first;
        tensor_read(values, first, rest < 64 ? rest : 64, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span file = {(const char *)data, size};
    struct model_files files = {0};
    struct tensor_table table;
    struct error error = {""};
    if (torch_parse(file, "x", &files, &table, &error) != STATUS_OK) {
        assert(error.text[0] != '\0' && table.tensors == NULL);
        model_files_close(&files);
        return 0;
    }
    assert(files.n_rooms <= 1 && (files.n_rooms == 0 || files.rooms[0].nbytes <= 2 * size));
    for (size_t i = 0; i < table.n_tensors; i++) {
        check_tensor(&table.tensors[i], &files, file);
        assert(tensor_table_find(&table, table.tensors[i].name) == &table.tensors[i]);
    }
    tensor_table_free(&table);
    model_files_close(&files);
    return 0;
}
