// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a safetensors file: what is accepted lies inside the file, tensor after tensor, and
// every byte of it may be read.
#include <assert.h>

#include "weights/bert_weights.h"
#include "weights/dtype.h"
#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensor(const struct named_tensor *tensor, const char *begin, const char *end) {
    assert(tensor->bytes.ptr >= begin && tensor->bytes.ptr + tensor->bytes.len <= end);
    if (!tensor->usable) return;
    struct tensor values = tensor->tensor;
    assert(values.n_elements * dtype_size(values.dtype) == tensor->bytes.len);
    for (size_t first = 0; first < values.n_elements; first += 64) {
        float out[64];
        size_t rest = values.n_elements - first;
        tensor_read(values, first, rest < 64 ? rest : 64, out);
    }
}

static void check_binding(const struct tensor_table *table, enum architecture architecture) {
    const struct bert_config config = {.architecture = architecture,
                                       .vocab_size = 1,
                                       .max_positions = 1,
                                       .type_vocab_size = architecture == ARCHITECTURE_BERT,
                                       .hidden_size = 1,
                                       .intermediate_size = 1,
                                       .n_layers = 1,
                                       .n_heads = 1,
                                       .n_labels = 2,
                                       .layer_norm_eps = 1e-12F};
    struct bert_weights weights;
    struct error error = {""};
    if (bert_weights_bind(table, &config, "x", &weights, &error) != STATUS_OK) return;
    assert(weights.classifier.weight.n_elements == 2);
    bert_weights_free(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *bytes = (const char *)data;
    struct tensor_table table;
    struct error error = {""};
    if (safetensors_parse(bytes, size, "x", &table, &error) != STATUS_OK) {
        assert(error.text[0] != '\0' && table.tensors == NULL);
        return 0;
    }
    size_t n_bytes = 0;
    for (size_t i = 0; i < table.n_tensors; i++) {
        check_tensor(&table.tensors[i], bytes + 8, bytes + size);
        assert(tensor_table_find(&table, table.tensors[i].name) == &table.tensors[i]);
        n_bytes += table.tensors[i].bytes.len;
    }
    assert(n_bytes <= size - 8);
    check_binding(&table, ARCHITECTURE_BERT);
    check_binding(&table, ARCHITECTURE_DISTILBERT);
    tensor_table_free(&table);
    return 0;
}
