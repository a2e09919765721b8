// SPDX-License-Identifier: Apache-2.0
//
// calibration.json: what it says of which label, and everything that is refused, with the reason.
#include "weights/calibration.h"

#include "host/base/buffer.h"
#include "tests/check.h"
#include "weights/bert_config.h"

static char *const labels[] = {"art", "world",    "Kunst \"und\"", "\xc3\xa9t\xc3\xa9",
                               "a",   "personal", "development",   "artisan"};
enum { N_LABELS = ARRAY_LEN(labels) };

static enum status parse_bytes(const char *text, size_t len, struct calibration *calibration,
                               struct error *error) {
    // Exactly as long as it is, for a sanitizer to watch.
    char *copy = malloc(len > 0 ? len : 1);
    if (len > 0) memcpy(copy, text, len);
    const enum status status = calibration_parse((struct span){copy, len}, "dir/calibration.json",
                                                 labels, N_LABELS, calibration, error);
    free(copy);
    return status;
}

static enum status parse(const char *text, struct calibration *calibration, struct error *error) {
    return parse_bytes(text, strlen(text), calibration, error);
}

// ---- what is accepted

static void temperatures(void) {
    static const struct {
        const char *text;
        float want;
    } cases[] = {
        {"{}", 1},
        {" {\"temperature\": 1}\n", 1},
        {"{\"temperature\":1.37}", 1.37f},
        {"{\"temperature\":1e-3}", 1e-3f},
        {"{\"temperature\":0.001}", 1e-3f},
        {"{\"temperature\":1E+3}", 1e3f},
        {"{\"t\\u0065mperature\":2}", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct calibration calibration = {.temperature = -1};
        struct error error = {""};
        CHECK_INT(parse(cases[i].text, &calibration, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK(calibration.temperature == cases[i].want && calibration.thresholds == NULL);
        free(calibration.thresholds);
    }
}

static void thresholds(void) {
    static const struct {
        const char *text;
        float want[N_LABELS];
    } cases[] = {
        {"{\"thresholds\":{}}", {0}},
        {"{\"thresholds\":0.25}", {0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f}},
        {"{\"thresholds\":0}", {0}},
        {"{\"thresholds\":1}", {1, 1, 1, 1, 1, 1, 1, 1}},
        {"{\"thresholds\":{\"world\":0.4,\"art\":0.5}}", {0.5f, 0.4f}},
        {"{\"thresholds\":{\"artisan\":1,\"a\":0.1,\"art\":0}}", {0, 0, 0, 0, 0.1f, 0, 0, 1}},
        {"{\"thresholds\":{\"\\u0061rt\":0.5,\"Kunst \\\"und\\\"\":1e-3,\"\xc3\xa9t\\u00e9\":1}}",
         {0.5f, 0, 1e-3f, 1}},
        {"{\"thresholds\":{\"art\":-0.0}}", {0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct calibration calibration = {.temperature = -1};
        struct error error = {""};
        CHECK_INT(parse(cases[i].text, &calibration, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK(calibration.temperature == 1 && calibration.thresholds != NULL);
        for (int k = 0; k < N_LABELS && calibration.thresholds != NULL; k++) {
            CHECK_NEAR(calibration.thresholds[k], cases[i].want[k], 0);
        }
        free(calibration.thresholds);
    }
}

// ---- what is refused

static void refuse_bytes(const char *text, size_t len, const char *message) {
    struct calibration calibration = {.temperature = -1};
    struct error error = {""};
    CHECK_INT(parse_bytes(text, len, &calibration, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "dir/calibration.json: ");
    CHECK_CONTAINS(error.text, message);
    CHECK(calibration.temperature == -1 && calibration.thresholds == NULL);  // left alone
}

static void refuse(const char *text, const char *message) {
    refuse_bytes(text, strlen(text), message);
}

static void not_json(void) {
    refuse("", "not JSON at byte 0");
    refuse("  ", "not JSON at byte 2");
    refuse("{\"temperature\":1.37", "not JSON at byte 19");
    refuse("{\"temperature\":NaN}", "not JSON at byte 15");
    refuse("{\"temperature\":1,}", "not JSON at byte 17");
    refuse("{\"temperature\":1} x", "not JSON at byte 18");
    refuse("\xef\xbb\xbf{}", "not JSON at byte 0");
    refuse("{\"thresholds\":{\"\xff\":1}}", "byte 16: ill-formed UTF-8");
    refuse_bytes("{}\0", 3, "not JSON at byte 2");
    refuse("[]", "holds an array, should hold an object");
    refuse("1.37", "holds a number, should hold an object");
    refuse("null", "holds null, should hold an object");
}

static void wrong_keys(void) {
    refuse("{\"temprature\":2}", "the key \"temprature\", at byte 1, is not known");
    refuse("{\"Temperature\":2}", "only \"temperature\" and \"thresholds\" are");
    refuse("{\"temperature\":1, \"threshold\":0.5}", "\"threshold\", at byte 18");
    refuse("{\"\":1}", "the key \"\"");
    refuse("{\"temperature\\u0000\":1}", "is not known");
    refuse("{\"temperature\":1,\"temperature\":1}", "\"temperature\", at byte 17, is there twice");
    refuse("{\"thresholds\":0,\"thr\\u0065sholds\":0}", "is there twice");
    // What was read before is given back: a leak checker sees to it.
    refuse("{\"thresholds\":{\"art\":0.5},\"thresholds\":{\"art\":0.5}}", "is there twice");
    refuse("{\"thresholds\":0.5,\"x\":0}", "is not known");
}

static void wrong_numbers(void) {
    static const char *const not_numbers[] = {
        "null", "true", "\"1\"", "[1]", "{}", "0.000999", "1000.1", "0", "-1", "1e999", "1e-999"};
    for (size_t i = 0; i < ARRAY_LEN(not_numbers); i++) {
        char text[100], message[100];
        snprintf(text, sizeof text, "{\"temperature\": %s}", not_numbers[i]);
        snprintf(message, sizeof message,
                 "temperature is %s, at byte 16; it must be a number from 0.001 to 1000",
                 not_numbers[i]);
        refuse(text, message);
    }
    static const char *const beyond[] = {"1.0000001", "-1e-9", "1e999", "50"};
    for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
        char text[100], message[100];
        snprintf(text, sizeof text, "{\"thresholds\":%s}", beyond[i]);
        snprintf(message, sizeof message,
                 "thresholds is %s, at byte 14; it must be a number from 0 to 1", beyond[i]);
        refuse(text, message);
        snprintf(text, sizeof text, "{\"thresholds\":{\"art\":0.5,\"a\":%s}}", beyond[i]);
        snprintf(message, sizeof message,
                 "the threshold of \"a\" is %s, at byte 29; it must be a number from 0 to 1",
                 beyond[i]);
        refuse(text, message);
    }
    refuse("{\"thresholds\":{\"art\":\"0.5\"}}", "the threshold of \"art\" is \"0.5\"");
    refuse("{\"thresholds\":{\"art\":null}}", "the threshold of \"art\" is null");
    refuse("{\"thresholds\":[0.5]}", "thresholds is an array, at byte 14; it must be an object");
    refuse("{\"thresholds\":null}", "thresholds is null");
    refuse("{\"thresholds\":\"0.5\"}", "thresholds is a string");
}

static void wrong_labels(void) {
    refuse("{\"thresholds\":{\"sports\":0.5}}",
           "thresholds has the key \"sports\", at byte 15, which is none of the model's labels: "
           "\"art\", \"world\", \"Kunst \"und\"\", \"\xc3\xa9t\xc3\xa9\", \"a\", \"personal\" "
           "and 2 more");
    static const char *const near[] = {"",
                                       "ar",
                                       "arts",
                                       "Art",
                                       "art ",
                                       "0",
                                       "art\\u0000",
                                       "art\\u0000x",
                                       "\\u0000",
                                       "\\ud800",
                                       "e\\u0301te\\u0301"};
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        char text[100], message[100];
        snprintf(text, sizeof text, "{\"thresholds\":{\"%s\":0.5}}", near[i]);
        snprintf(message, sizeof message, "thresholds has the key \"%s\", at byte 15", near[i]);
        refuse(text, message);
    }
    refuse("{\"thresholds\":{\"art\":0.5,\"art\":0.5}}",
           "thresholds has \"art\" twice, at byte 25");
    refuse("{\"thresholds\":{\"art\":0,\"a\\u0072t\":0}}", "twice, at byte 23");
    struct buffer text = {0};  // a name that fills the file: cut in the message
    buffer_add_text(&text, "{\"thresholds\":{\"");
    for (int i = 0; i < 100000; i++) buffer_add_text(&text, "art");
    buffer_add_text(&text, "\":1}}");
    refuse_bytes(text.bytes, text.len, "arta..., at byte 15");
    buffer_free(&text);
}

// ---- how large it may be

static void sizes(void) {
    struct calibration calibration;
    struct error error = {""};
    char *text = malloc(CALIBRATION_NBYTES_MAX + 1);
    memset(text, ' ', CALIBRATION_NBYTES_MAX + 1);
    memcpy(text, "{}", 2);
    CHECK_INT(parse_bytes(text, CALIBRATION_NBYTES_MAX, &calibration, &error), STATUS_OK);
    free(calibration.thresholds);
    refuse_bytes(text, CALIBRATION_NBYTES_MAX + 1, "4194305 bytes");
    free(text);
}

// As many labels as there may be, in the worst order for a reader that looks at one after the
// other.
static void many_labels(void) {
    enum { NAME_NBYTES = sizeof "label 65535" };
    char *names = malloc((size_t)LABELS_MAX * NAME_NBYTES);
    char **many = malloc((size_t)LABELS_MAX * sizeof *many);
    struct buffer text = {0};
    buffer_add_text(&text, "{\"thresholds\":{");
    for (int k = 0; k < LABELS_MAX; k++) {
        many[k] = names + (size_t)k * NAME_NBYTES;
        snprintf(many[k], NAME_NBYTES, "label %u", (unsigned)(k & 0xFFFF));
    }
    for (int k = LABELS_MAX - 1; k >= 0; k--) {
        buffer_add_format(&text, "\"%s\":%.7f%s", many[k], k / (double)LABELS_MAX,
                          k > 0 ? "," : "}}");
    }
    CHECK(!text.failed && text.len < CALIBRATION_NBYTES_MAX);
    struct calibration calibration = {0};
    struct error error = {""};
    const double begin = now_seconds();
    CHECK_INT(calibration_parse((struct span){text.bytes, text.len}, "x", many, LABELS_MAX,
                                &calibration, &error),
              STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK(now_seconds() - begin < 5);  // hundredths, where it is not quadratic
    for (int k = 0; k < LABELS_MAX && calibration.thresholds != NULL; k++) {
        CHECK_NEAR(calibration.thresholds[k], k / (double)LABELS_MAX, 1e-6);
    }
    free(calibration.thresholds);
    buffer_free(&text);
    free(many);
    free(names);
}

int main(void) {
    temperatures();
    thresholds();
    not_json();
    wrong_keys();
    wrong_numbers();
    wrong_labels();
    sizes();
    many_labels();
    return check_result();
}
