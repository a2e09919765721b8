// SPDX-License-Identifier: Apache-2.0
//
// JSON values: members, pointers, strings, numbers.
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

static void members(void) {
    struct json_value object =
        parsed("{\"a\":1,\"\\u0062\":2,\"a\":3,\"a\\u0000\":4,\"\xc3\xa9\":5}");
    struct json_value value;
    int64_t number = 0;
    CHECK(json_member(object, "a", &value) && json_int64(value, &number));
    CHECK_INT(number, 3);
    CHECK(json_member(object, "b", &value) && json_int64(value, &number));
    CHECK_INT(number, 2);
    CHECK(json_member(object, "\xc3\xa9", &value) && json_int64(value, &number));
    CHECK_INT(number, 5);
    CHECK(!json_member(object, "", &value));
    CHECK(!json_member(object, "c", &value));
    CHECK(!json_member(object, "a\\u0000", &value));
    CHECK(!json_member(parsed("[\"a\"]"), "a", &value));
}

// The examples of RFC 6901, section 5, and what is no pointer.
static void pointers(void) {
    struct json_value root = parsed(
        "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,\"i\\\\j\":5,"
        "\"k\\\"l\":6,\" \":7,\"m~n\":8,\"deep\":{\"x\":[{\"y\":9}]}}");
    static const struct {
        const char *pointer, *raw;
    } found[] = {
        {"/foo", "[\"bar\",\"baz\"]"},
        {"/foo/0", "\"bar\""},
        {"/foo/1", "\"baz\""},
        {"/", "0"},
        {"/a~1b", "1"},
        {"/c%d", "2"},
        {"/e^f", "3"},
        {"/g|h", "4"},
        {"/i\\j", "5"},
        {"/k\"l", "6"},
        {"/ ", "7"},
        {"/m~0n", "8"},
        {"/deep/x/0/y", "9"},
    };
    struct json_value value;
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        CHECK(json_pointer(root, found[i].pointer, &value));
        CHECK(span_equal(value.raw, found[i].raw));
    }
    CHECK(json_pointer(root, "", &value) && value.raw.len == root.raw.len);
    static const char *const absent[] = {
        "foo",  "/foo/2", "/foo/01", "/foo/-", "/foo/", "/foo/a", "/foo/0/0",
        "/m~n", "/m~",    "/m~2n",   "/fo",    "/fooo", "//",     "/foo/99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) CHECK(!json_pointer(root, absent[i], &value));
}

static void strings(void) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"a\\u0041\\u00e9\\u20ac\"", "aA\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\uDE00!\"", "\xf0\x9f\x98\x80!"},
        {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\u0041\"",
         "\xef\xbf\xbd"
         "A"},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
        {"\"\xff\"", "\xff"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_value value = parsed(cases[i].text);
        char out[64] = {0};
        size_t len = json_string(value, out);
        CHECK_INT(len, strlen(cases[i].want));
        CHECK(len <= value.raw.len - 2);
        CHECK_STR(out, cases[i].want);
        CHECK(json_string_equal(value, cases[i].want));
        CHECK(!json_string_equal(value, "something else"));
    }
    char out[16];
    CHECK_INT(json_string(parsed("\"a\\u0000b\""), out), 3);
    CHECK(memcmp(out, "a\0b", 3) == 0);
    CHECK(!json_string_equal(parsed("\"a\\u0000b\""), "a"));
    CHECK(!json_string_equal(parsed("\"ab\""), "a"));
    CHECK(!json_string_equal(parsed("\"a\""), "ab"));
    CHECK(!json_string_equal(parsed("12"), "1"));
}

static void integers(void) {
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"100000000000000000000000", false, 0},
        {"1.0", false, 0},
        {"1e2", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = 0;
        CHECK_INT(json_int64(parsed(cases[i].text), &got), cases[i].ok);
        CHECK_INT(got, cases[i].want);
    }
}

static void doubles(void) {
    static const char *const texts[] = {"0",        "-0.0",   "1.5",
                                        "1e-12",    "0.1",    "1.7976931348623157e308",
                                        "4.9e-324", "1e-400", "123456789012345678901234567890"};
    double got = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CHECK(json_double(parsed(texts[i]), &got));
        double want = strtod(texts[i], NULL);
        CHECK(memcmp(&got, &want, sizeof got) == 0);
    }
    CHECK(!json_double(parsed("1e309"), &got));
    CHECK(!json_double(parsed("-1e99999999999999999999999"), &got));
    CHECK(!json_double(parsed("\"1\""), &got));
    CHECK(!json_double(parsed("null"), &got));
}

// Numbers of any length, against strtod of the same text.
static void long_doubles(void) {
    static char text[5000];
    struct check_random random = {2024};
    for (int round = 0; round < 3000; round++) {
        size_t len = 0;
        if (check_below(&random, 2)) text[len++] = '-';
        unsigned whole = check_below(&random, 3) ? check_below(&random, 400) + 1 : 1;
        if (check_below(&random, 10) == 0) whole = 3000;
        text[len++] = (char)(whole == 1 ? '0' : '1' + (int)check_below(&random, 9));
        for (unsigned i = 1; i < whole; i++)
            text[len++] = (char)('0' + (int)check_below(&random, 10));
        text[len++] = '.';
        unsigned zeros = check_below(&random, 500);
        for (unsigned i = 0; i < zeros; i++) text[len++] = '0';
        unsigned fraction = check_below(&random, 1200) + 70;
        for (unsigned i = 0; i < fraction; i++) {
            text[len++] = (char)('0' + (int)check_below(&random, 10));
        }
        int exponent = (int)check_below(&random, 1400) - 700 - (int)whole;
        snprintf(text + len, sizeof text - len, "%s%d", exponent > 0 ? "E+" : "e", exponent);
        double got = 0, want = strtod(text, NULL);
        bool ok = json_double(parsed(text), &got);
        CHECK_INT(ok, isfinite(want) != 0);
        if (ok) CHECK(memcmp(&got, &want, sizeof got) == 0);
    }
    // Half way between two doubles, and a hair above: the last of many digits decides.
    strcpy(text, "9007199254740993.");
    size_t len = strlen(text);
    memset(text + len, '0', 2000);
    strcpy(text + len + 2000, "0");
    double got = 0;
    CHECK(json_double(parsed(text), &got) && got == 9007199254740992.0);
    text[len + 2000] = '1';
    CHECK(json_double(parsed(text), &got) && got == 9007199254740994.0);
}

static void booleans_and_names(void) {
    bool got = false;
    CHECK(json_bool(parsed("true"), &got) && got);
    CHECK(json_bool(parsed("false"), &got) && !got);
    CHECK(!json_bool(parsed("0"), &got));
    CHECK_STR(json_type_name(JSON_STRING), "a string");
    CHECK_STR(json_type_name(JSON_OBJECT), "an object");
}

int main(void) {
    members();
    pointers();
    strings();
    integers();
    doubles();
    long_doubles();
    booleans_and_names();
    return check_result();
}
