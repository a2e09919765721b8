// SPDX-License-Identifier: Apache-2.0
//
// The JSON reader: what it takes, what it refuses and where, and walking over what it took.
#include "host/base/json.h"
#include "tests/check.h"

static struct json_value parsed(const char *text) {
    struct json_value value = {0};
    struct json_fault fault = {0};
    if (!json_parse(span_text(text), &value, &fault)) {
        CHECK_FAIL("\"%s\" is refused at %zu: %s", text, fault.offset, fault.what);
        exit(1);
    }
    return value;
}

static void accepted_texts(void) {
    static const struct {
        const char *text;
        enum json_type type;
        size_t len;
    } cases[] = {
        {"null", JSON_NULL, 4},
        {" true\n", JSON_BOOL, 4},
        {"\t\r\n false", JSON_BOOL, 5},
        {"0", JSON_NUMBER, 1},
        {"-0.0e-00 ", JSON_NUMBER, 8},
        {"1E+400", JSON_NUMBER, 6},
        {"\"\"", JSON_STRING, 2},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00eF\"", JSON_STRING, 24},
        {"\"\\ud800\"", JSON_STRING, 8},
        {"\"\xff\x7f\"", JSON_STRING, 4},
        {"[]", JSON_ARRAY, 2},
        {"{ }", JSON_OBJECT, 3},
        {"[ [ ] , { } ]", JSON_ARRAY, 13},
        {"{\"a\":{\"b\":[1,{\"c\":null}]},\"\":0}", JSON_OBJECT, 31},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_value value = parsed(cases[i].text);
        CHECK_INT(value.type, cases[i].type);
        CHECK_INT(value.raw.len, cases[i].len);
    }
}

static void refused_texts(void) {
    static const struct {
        const char *text;
        size_t offset;
        const char *what;
    } cases[] = {
        {"", 0, "nothing"},
        {"  ", 2, "expected a value"},
        {"\xEF\xBB\xBF{}", 0, "expected a value"},
        {"nul", 0, "expected a value"},
        {"True", 0, "expected a value"},
        {"NaN", 0, "expected a value"},
        {"'a'", 0, "expected a value"},
        {"+1", 0, "expected a value"},
        {".5", 0, "expected a value"},
        {"01", 1, "needless 0"},
        {"-", 1, "a digit"},
        {"-a", 1, "a digit"},
        {"1.", 2, "decimal point"},
        {"1.e5", 2, "decimal point"},
        {"1e", 2, "exponent"},
        {"1e+", 3, "exponent"},
        {"1 2", 2, "follows"},
        {"{} x", 3, "follows"},
        {"\"a", 2, "no end"},
        {"\"a\\", 3, "no end"},
        {"\"\\u12", 5, "no end"},
        {"\"\\u12g4\"", 5, "hex"},
        {"\"\\x41\"", 1, "escape"},
        {"\"a\nb\"", 2, "control"},
        {"\"12345678\x1f\"", 9, "control"},
        {"[", 1, "a value"},
        {"[1", 2, "comma or ]"},
        {"[1,", 3, "a value"},
        {"[1,]", 3, "a value"},
        {"[,1]", 1, "a value"},
        {"[1 2]", 3, "comma or ]"},
        {"[1}", 2, "comma or ]"},
        {"]", 0, "a value"},
        {"{", 1, "name in quotes"},
        {"{\"a\"", 4, "colon"},
        {"{\"a\" 1}", 5, "colon"},
        {"{\"a\":}", 5, "a value"},
        {"{\"a\":1,}", 7, "name in quotes"},
        {"{\"a\":1]", 6, "comma or }"},
        {"{1:2}", 1, "name in quotes"},
        {"{\"a\":1", 6, "comma or }"},
        {"[{\"a\":[}]", 7, "a value"},
        {"// c\n1", 0, "a value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_value value = {.type = JSON_ARRAY};
        struct json_fault fault = {.what = "accepted", .offset = 999};
        CHECK(!json_parse(span_text(cases[i].text), &value, &fault));
        CHECK_INT(fault.offset, cases[i].offset);
        CHECK_CONTAINS(fault.what, cases[i].what);
        CHECK_INT(value.type, JSON_ARRAY);
    }
    struct json_value value;
    struct json_fault fault;
    CHECK(!json_parse((struct span){.ptr = "1\0", .len = 2}, &value, &fault));
    CHECK(!json_parse((struct span){.ptr = "\"a\0b\"", .len = 5}, &value, &fault));
    CHECK(!json_parse((struct span){0}, &value, &fault));
}

// Every prefix of a document is refused, except the whole.
static void truncations(void) {
    const char *text = "{\"a\\u0041\":[1.5e3,true,null,\"x\\n\"],\"b\":{\"c\":[[],{}]}}";
    for (size_t len = 0; len < strlen(text); len++) {
        struct json_value value;
        struct json_fault fault;
        CHECK(!json_parse((struct span){.ptr = text, .len = len}, &value, &fault));
        CHECK(fault.offset <= len);
    }
    parsed(text);
}

static void nesting(void) {
    char text[2 * JSON_DEPTH_MAX + 3];
    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        struct json_value value;
        struct json_fault fault;
        bool ok = json_parse((struct span){text, 2 * (size_t)depth}, &value, &fault);
        CHECK_INT(ok, depth == JSON_DEPTH_MAX);
        if (!ok) CHECK_INT(fault.offset, JSON_DEPTH_MAX);
    }
}

// A string's end is found wherever it lies in the words of eight bytes.
static void string_scan_offsets(void) {
    char text[64];
    for (size_t len = 0; len < 40; len++) {
        text[0] = '"';
        memset(text + 1, 0xC3, len);
        text[len + 1] = '"';
        struct json_value value;
        struct json_fault fault;
        CHECK(json_parse((struct span){text, len + 2}, &value, &fault));
        for (size_t bad = 1; bad <= len; bad++) {
            for (int c = 0; c < 256; c++) {
                char kept = text[bad];
                text[bad] = (char)c;
                bool ok = json_parse((struct span){text, len + 2}, &value, &fault);
                bool escape = c == '\\' && bad < len;  // followed by 0xC3 or the end
                CHECK_INT(ok, c >= 0x20 && c != '"' && c != '\\');
                if (!ok && !escape && c < 0x20) CHECK_INT(fault.offset, bad);
                text[bad] = kept;
            }
        }
    }
}

static void walking(void) {
    struct json_value value = parsed(" [ 1 , \"a]\\\"\" ,[2,[3]],{\"x\":[4]} , true ] ");
    static const char *const want[] = {"1", "\"a]\\\"\"", "[2,[3]]", "{\"x\":[4]}", "true"};
    size_t n = 0;
    for (struct json_walk walk = json_walk(value); json_next(&walk); n++) {
        CHECK(n < ARRAY_LEN(want) && span_equal(walk.value.raw, want[n]));
    }
    CHECK_INT(n, ARRAY_LEN(want));

    value = parsed("{ \"k}\" : {\"x\":\"}\"} ,\"\":-1e5}");
    struct json_walk walk = json_walk(value);
    CHECK(json_next(&walk) && span_equal(walk.key.raw, "\"k}\""));
    CHECK(span_equal(walk.value.raw, "{\"x\":\"}\"}") && walk.value.type == JSON_OBJECT);
    CHECK(json_next(&walk) && span_equal(walk.key.raw, "\"\""));
    CHECK(span_equal(walk.value.raw, "-1e5") && walk.value.type == JSON_NUMBER);
    CHECK(!json_next(&walk));
    CHECK(!json_next(&walk));

    walk = json_walk(parsed("\"[1]\""));
    CHECK(!json_next(&walk));
    walk = json_walk(parsed("[ ]"));
    CHECK(!json_next(&walk));
    walk = json_walk(parsed("{\n}"));
    CHECK(!json_next(&walk));
}

int main(void) {
    accepted_texts();
    refused_texts();
    truncations();
    nesting();
    string_scan_offsets();
    walking();
    return check_result();
}
