// SPDX-License-Identifier: Apache-2.0
//
// safetensors files: what a good one gives, and every way in which one can be bad.
#include "weights/safetensors.h"

#include "tests/check.h"

// A file image of `header` and n zero bytes of data, exactly as long as it is, so that a sanitizer
// sees a read past its end.
struct image {
    char *bytes;
    size_t nbytes;
};

static struct image image_of(const char *header, size_t n_data) {
    uint64_t len = strlen(header);
    struct image image = {NULL, 8 + (size_t)len + n_data};
    image.bytes = calloc(image.nbytes, 1);
    memcpy(image.bytes, &len, 8);
    memcpy(image.bytes + 8, header, (size_t)len);
    return image;
}

static bool parse(const char *bytes, size_t nbytes, struct tensor_table *table,
                  struct error *error) {
    // A copy of its own size: `bytes` may be the front of something longer.
    char *copy = malloc(nbytes > 0 ? nbytes : 1);
    if (nbytes > 0) memcpy(copy, bytes, nbytes);
    enum status status = safetensors_parse(copy, nbytes, "x.safetensors", table, error);
    CHECK(status == STATUS_OK || status == STATUS_MODEL);
    tensor_table_free(table);
    free(copy);
    return status == STATUS_OK;
}

static const struct named_tensor *find(const struct tensor_table *table, const char *name) {
    return tensor_table_find(table, span_text(name));
}

static const char good_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[24,36]},"
    "\"a\\u002Fx\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]},"
    "\"ids\":{\"shape\":[1,2],\"data_offsets\":[36,52],\"dtype\":\"I64\"},"
    "\"none\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[52,52]},"
    "\"one\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[52,54]},"
    "\"new\":{\"dtype\":\"X9\",\"shape\":[5],\"data_offsets\":[54,55]}}   ";

static void good_file(void) {
    struct image image = image_of(good_header, 55);
    const char *data = image.bytes + 8 + strlen(good_header);
    struct tensor_table table;
    struct error error = {""};
    CHECK_INT(safetensors_parse(image.bytes, image.nbytes, "x", &table, &error), STATUS_OK);
    CHECK_INT(table.n_tensors, 6);
    const struct named_tensor *tensor = find(&table, "a/x");
    CHECK(tensor != NULL && tensor->usable && tensor->tensor.data == data);
    CHECK_INT(tensor->tensor.dtype, DTYPE_F32);
    CHECK_INT(tensor->tensor.n_elements, 6);
    CHECK_STR(shape_text(tensor->dims, tensor->n_dims).text, "[6]");
    tensor = find(&table, "b");
    CHECK(tensor != NULL && tensor->usable && tensor->tensor.data == data + 24);
    CHECK_INT(tensor->tensor.dtype, DTYPE_F16);
    CHECK_STR(shape_text(tensor->dims, tensor->n_dims).text, "[2, 3]");
    tensor = find(&table, "ids");
    CHECK(tensor != NULL && !tensor->usable && span_equal(tensor->dtype_name, "I64"));
    tensor = find(&table, "none");
    CHECK(tensor != NULL && tensor->usable && tensor->tensor.n_elements == 0);
    tensor = find(&table, "one");
    CHECK(tensor != NULL && tensor->usable && tensor->tensor.n_elements == 1);
    CHECK_STR(shape_text(tensor->dims, tensor->n_dims).text, "[]");
    tensor = find(&table, "new");
    CHECK(tensor != NULL && !tensor->usable);
    CHECK(find(&table, "__metadata__") == NULL);
    CHECK(find(&table, "") == NULL);
    CHECK(find(&table, "bb") == NULL);
    tensor_table_free(&table);

    struct image empty = image_of("{}", 0);
    CHECK_INT(safetensors_parse(empty.bytes, empty.nbytes, "x", &table, &error), STATUS_OK);
    CHECK(table.n_tensors == 0 && find(&table, "a") == NULL);
    tensor_table_free(&table);
    free(empty.bytes);
    free(image.bytes);
}

// No front part of a file, and no file with more at its end, is a file.
static void every_length(void) {
    struct image image = image_of(good_header, 55 + 4);
    for (size_t n = 0; n <= image.nbytes; n++) {
        struct tensor_table table;
        struct error error = {""};
        CHECK_INT(parse(image.bytes, n, &table, &error), n == image.nbytes - 4);
        if (n != image.nbytes - 4) CHECK_CONTAINS(error.text, "x.safetensors: ");
    }
    free(image.bytes);
}

// No flipped bit does worse than a refusal.
static void every_bit(void) {
    struct image image = image_of(good_header, 55);
    for (size_t i = 0; i < image.nbytes - 55; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct tensor_table table;
            struct error error = {""};
            image.bytes[i] = (char)(image.bytes[i] ^ 1 << bit);
            if (!parse(image.bytes, image.nbytes, &table, &error)) CHECK(error.text[0] != '\0');
            image.bytes[i] = (char)(image.bytes[i] ^ 1 << bit);
        }
    }
    free(image.bytes);
}

#define ONE(dtype, shape, offsets) \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void hostile_headers(void) {
    static const struct {
        const char *header;
        size_t n_data;
        const char *message;
    } cases[] = {
        {"", 0, "does not begin with {"},
        {" {}", 0, "does not begin with {"},
        {"[]", 0, "does not begin with {"},
        {"{", 0, "member name"},
        {"{}}", 0, "follows"},
        {"{\"\xff\":1}", 0, "ill-formed UTF-8"},
        {"{\"t\":1}", 0, "not an object"},
        {"{\"t\":{}}", 0, "dtype is missing"},
        {"{\"t\":{\"dtype\":\"F32\"}}", 0, "shape is missing"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "data_offsets are missing"},
        {ONE("32", "[1]", "[0,4]"), 4, "dtype is not a string"},
        {ONE("\"F32\"", "4", "[0,4]"), 4, "shape is not an array"},
        {ONE("\"F32\"", "[-1]", "[0,4]"), 4, "whole number"},
        {ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "whole number"},
        {ONE("\"F32\"", "[\"1\"]", "[0,4]"), 4, "whole number"},
        {ONE("\"F32\"", "[99999999999999999999]", "[0,4]"), 4, "whole number"},
        {ONE("\"F32\"", "[4294967296,4294967296]", "[0,4]"), 4, "overflows"},
        {ONE("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, "overflows"},
        {ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "overflows"},
        {ONE("\"X\"", "[9223372036854775807,9,9]", "[0,4]"), 4, "overflows"},
        {ONE("\"F32\"", "[1]", "{}"), 4, "not an array"},
        {ONE("\"F32\"", "[1]", "[]"), 4, "two whole numbers"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, "two whole numbers"},
        {ONE("\"F32\"", "[1]", "[0,4,4]"), 4, "two whole numbers"},
        {ONE("\"F32\"", "[1]", "[-4,0]"), 4, "two whole numbers"},
        {ONE("\"F32\"", "[1]", "[0,-4]"), 4, "two whole numbers"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, "end before they begin"},
        {ONE("\"F32\"", "[1]", "[0,8]"), 4, "beyond the end of the file"},
        {ONE("\"F32\"", "[1]", "[0,9223372036854775807]"), 4, "beyond the end of the file"},
        {ONE("\"F32\"", "[2]", "[0,4]"), 4, "do not span"},
        {ONE("\"F16\"", "[1]", "[0,4]"), 4, "do not span"},
        {ONE("\"I64\"", "[1]", "[0,4]"), 4, "do not span"},
        {ONE("\"F4\"", "[3]", "[0,1]"), 1, "do not span"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, "begins at 4"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 8, "the file has 8"},
        {"{}", 1, "the file has 1"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "overlaps"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
         2, "overlaps"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
         5, "begins at 3"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"\\u0074\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         4, "two tensors are named \"t\""},
        {"{\"e\\u001b[31m\":1}", 0, "\"e?[31m\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image image = image_of(cases[i].header, cases[i].n_data);
        struct tensor_table table;
        struct error error = {""};
        CHECK(!parse(image.bytes, image.nbytes, &table, &error));
        CHECK(table.tensors == NULL && table.n_tensors == 0);
        CHECK_CONTAINS(error.text, cases[i].message);
        free(image.bytes);
    }
}

static void hostile_lengths(void) {
    static const uint64_t lengths[] = {3,         100000001,  UINT64_C(1) << 32,
                                       INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        memcpy(bytes, &lengths[i], 8);
        struct tensor_table table;
        struct error error = {""};
        CHECK(!parse(bytes, sizeof bytes, &table, &error));
        CHECK_CONTAINS(error.text, "a header of ");
    }
    struct tensor_table table;
    struct error error = {""};
    CHECK(!parse("", 0, &table, &error));
    CHECK_CONTAINS(error.text, "0 bytes are too few");
}

// Nesting inside a tensor's entry, and a long name in a message.
static void deep_and_long(void) {
    static char header[3000];
    struct tensor_table table;
    struct error error = {""};
    strcpy(header, "{\"t\":");
    memset(header + 5, '[', 1000);
    struct image image = image_of(header, 0);
    CHECK(!parse(image.bytes, image.nbytes, &table, &error));
    CHECK_CONTAINS(error.text, "nested deeper than 64");
    free(image.bytes);

    strcpy(header, "{\"");
    for (size_t i = 2; i < 2002; i += 2) memcpy(header + i, "\xc3\xa9", 2);
    strcpy(header + 2002, "\":1}");
    image = image_of(header, 0);
    CHECK(!parse(image.bytes, image.nbytes, &table, &error));
    CHECK_CONTAINS(error.text, "...\": its entry is not an object");
    CHECK(strlen(error.text) < 200);
    free(image.bytes);
}

int main(void) {
    good_file();
    every_length();
    every_bit();
    hostile_headers();
    hostile_lengths();
    deep_and_long();
    return check_result();
}
