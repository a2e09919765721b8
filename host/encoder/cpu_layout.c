// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/cpu_model.h"

enum { LINE_NBYTES = 64 };

// Where the next array goes.
struct cursor {
    char *block;  // NULL: only counting
    size_t nbytes;
};

static void *take(struct cursor *cursor, size_t n, size_t element_nbytes) {
    void *at = cursor->block != NULL ? cursor->block + cursor->nbytes : NULL;
    const size_t nbytes = n * element_nbytes;
    cursor->nbytes += (nbytes + LINE_NBYTES - 1) / LINE_NBYTES * LINE_NBYTES;
    return at;
}

static struct operand_rows take_operands(struct cursor *cursor, enum cpu_precision precision,
                                         enum operand operand, size_t n_rows, size_t width) {
    struct operand_rows taken = {0};
    taken.rows = take(cursor, n_rows * width, operand_size(operand));
    if (precision == CPU_INT8) taken.scales = take(cursor, n_rows, sizeof *taken.scales);
    return taken;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t cpu_memory_lay_out(const struct bert_config *config, enum cpu_precision precision,
                          int32_t batch_tokens, size_t gemm_scratch_nbytes,
                          struct cpu_memory *memory) {
    static const enum operand operands[] = {
        [CPU_FP32] = OPERAND_F32, [CPU_BF16] = OPERAND_BF16, [CPU_INT8] = OPERAND_U8};
    const enum operand operand = operands[precision];
    const size_t h = (size_t)config->hidden_size, f = (size_t)config->intermediate_size;
    const size_t rows = (size_t)tile_rows_of(precision);
    const size_t t = ((size_t)batch_tokens + rows - 1) / rows * rows;
    const size_t n = ((size_t)titles_cap_of(batch_tokens) + rows - 1) / rows * rows;
    const int32_t longest =
        config->max_positions < batch_tokens ? config->max_positions : batch_tokens;
    const size_t part = f / (size_t)feed_parts_of(config, precision);
    struct cursor cursor = {0};
    struct cpu_memory none, *m = memory != NULL ? memory : &none;
    if (memory != NULL) {
        cursor.block = (char *)memory->block +
                       (LINE_NBYTES - (uintptr_t)memory->block % LINE_NBYTES) % LINE_NBYTES;
    }

    m->hidden = take(&cursor, t * h, sizeof(float));
    m->in = (struct operand_rows){.rows = m->hidden};
    if (operand != OPERAND_F32) m->in = take_operands(&cursor, precision, operand, t, h);
    m->context = take_operands(&cursor, precision, operand, t, h);
    m->window = take(&cursor, ((size_t)longest + rows) * 3 * h, sizeof(float));
    m->mixed = operand != OPERAND_F32 ? take(&cursor, (size_t)longest * h, sizeof(float)) : NULL;
    m->tile = take(&cursor, rows * larger(h, part), sizeof(float));
    m->feed = take_operands(&cursor, precision, operand, rows, f);
    m->cls = take(&cursor, n * h, sizeof(float));
    m->cls_in = (struct operand_rows){.rows = m->cls};
    if (operand != OPERAND_F32) m->cls_in = take_operands(&cursor, precision, operand, n, h);
    m->query = take(&cursor, n * h, sizeof(float));
    m->logits = take(&cursor, rows * (size_t)config->n_labels, sizeof(float));
    m->scores = take(&cursor, attention_scratch_len(longest, config->hidden_size / config->n_heads),
                     sizeof(float));
    m->gemm = take(&cursor, gemm_scratch_nbytes, 1);
    return cursor.nbytes + LINE_NBYTES;
}
