// SPDX-License-Identifier: Apache-2.0
//
// Labels that are known: which columns hold them, and which of a model's labels a text means.
#include "host/job/gold.h"

#include "tests/check.h"

enum { N_LABELS = 5 };

static char *const names[N_LABELS] = {"art", "a|b", "2", "\xe7\xa7\x91\xe5\xad\xa6", "a \"b\"\t"};
static const struct gold_labels one = {names, N_LABELS, false}, many = {names, N_LABELS, true};
static char scratch[RECORD_NBYTES_MAX];

static void check_columns(const char *line, int title, int label, bool is_header) {
    const struct gold_columns columns = gold_columns_of(span_text(line), &one);
    CHECK_INT(columns.title, title);
    CHECK_INT(columns.label, label);
    CHECK_INT(columns.is_header, is_header);
}

static void columns(void) {
    check_columns("a title\tart", 1, 2, false);
    check_columns("7\ta title\tart", 2, 3, false);
    check_columns("7\ta title\tart\tmore", 2, 3, false);
    check_columns("", 1, 2, false);
    check_columns("alone", 1, 2, false);
    check_columns("\t", 1, 2, false);
    check_columns("\t\t", 2, 3, false);
    check_columns("title\tlabel", 1, 2, true);
    check_columns("label\ttitle", 2, 1, true);
    check_columns("id\tlang\tlabel\tx\ttitle", 5, 3, true);
    check_columns("title\tlabel\ttitle\tlabel", 1, 2, true);
    check_columns("Title\tlabel", 1, 2, false);
    check_columns("title \tlabel", 1, 2, false);
    check_columns("id\ttitle\tart", 2, 3, false);
    check_columns("id\tart\tlabel", 2, 3, false);
    // Where a label has that name the line may be a record.
    static char *const odd[] = {"title", "label"};
    const struct gold_labels labels = {odd, 2, false};
    CHECK(!gold_columns_of(span_text("title\tlabel"), &labels).is_header);
}

// The members as bits, the first label's the lowest; -1 for a fault.
static int read_gold(const struct gold_labels *labels, enum record_kind kind, const char *line,
                     struct gold_fault *fault) {
    const struct record_format format = {.kind = kind, .id = {"title", 1}, .title = {"title", 1}};
    struct record record = {.line = span_text(line)};
    struct span title;
    uint8_t members[N_LABELS];
    int bits = 0;
    memset(members, 9, sizeof members);
    record_parse(&format, &record, scratch, &title);
    CHECK_INT(record.status, RECORD_OK);
    const bool good =
        gold_read(labels, &format, (struct field){"label", 2}, &record, scratch, members, fault);
    for (int k = 0; good && k < N_LABELS; k++) {
        CHECK(members[k] <= 1);
        bits |= members[k] << k;
    }
    return good ? bits : -1;
}

static void check_gold(const struct gold_labels *labels, enum record_kind kind, const char *line,
                       int want) {
    struct gold_fault fault;
    const int got = read_gold(labels, kind, line, &fault);
    if (got != want) CHECK_FAIL("%s: members %d, should be %d", line, got, want);
}

static void check_fault(const struct gold_labels *labels, enum record_kind kind, const char *line,
                        const char *what, const char *text) {
    struct gold_fault fault = {0};
    CHECK_INT(read_gold(labels, kind, line, &fault), -1);
    CHECK_CONTAINS(fault.what, what);
    if ((text == NULL) != (fault.text.ptr == NULL) ||
        (text != NULL && !span_equal(fault.text, text))) {
        CHECK_FAIL("%s: found \"%.*s\"", line, (int)fault.text.len, fault.text.ptr);
    }
}

static void one_label(void) {
    const enum record_kind tsv = RECORD_TSV, json = RECORD_JSONL;
    check_gold(&one, tsv, "t\tart", 1);
    check_gold(&one, tsv, "t\ta|b", 2);
    check_gold(&one, tsv, "t\t\xe7\xa7\x91\xe5\xad\xa6\tmore", 8);
    check_gold(&one, tsv, "t\t2", 4);  // a name first ...
    check_gold(&one, tsv, "t\t0", 1);  // ... else a number
    check_gold(&one, tsv, "t\t4", 16);
    static const char *const wrong[] = {"Art",   "art ", " art",       "",
                                        "5",     "-1",   "04",         "00",
                                        "+1",    "1.0",  "4294967296", "18446744073709551616",
                                        "art|2", "0x1",  "1e0"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char line[100];
        snprintf(line, sizeof line, "t\t%s", wrong[i]);
        check_fault(&one, tsv, line, "is none of the model's labels", wrong[i]);
        snprintf(line, sizeof line, "{\"title\":\"t\",\"label\":\"%s\"}", wrong[i]);
        check_fault(&one, json, line, "is none of the model's labels", wrong[i]);
    }
    check_fault(&one, tsv, "t", "no label", NULL);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":\"art\"}", 1);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":\"\\u0061\\u0072t\"}", 1);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":\"\\u79d1\\u5b66\"}", 8);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":\"a \\\"b\\\"\\t\"}", 16);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":3}", 8);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":\"3\"}", 8);
    check_gold(&one, json, "{\"title\":\"t\",\"label\":2}", 4);
    check_fault(&one, json, "{\"title\":\"t\",\"label\":5}", "none of", "5");
    check_fault(&one, json, "{\"title\":\"t\",\"label\":1.0}", "none of", "1.0");
    check_fault(&one, json, "{\"title\":\"t\"}", "no label", NULL);
    check_fault(&one, json, "{\"title\":\"t\",\"label\":null}", "neither a string", "null");
    check_fault(&one, json, "{\"title\":\"t\",\"label\":[\"art\"]}", "neither a string",
                "[\"art\"]");
}

static void many_labels(void) {
    const enum record_kind tsv = RECORD_TSV, json = RECORD_JSONL;
    check_gold(&many, tsv, "t\tart", 1);
    check_gold(&many, tsv, "t\t", 0);
    check_gold(&many, tsv, "t\ta|b", 2);  // the whole is a name
    check_gold(&many, tsv, "t\tart|2|3", 1 | 4 | 8);
    check_gold(&many, tsv, "t\tart|art", 1);
    check_gold(&many, json, "{\"title\":\"t\",\"label\":\"art|\\u0032\"}", 1 | 4);
    check_gold(&many, json, "{\"title\":\"t\",\"label\":\"\"}", 0);
    check_gold(&many, json, "{\"title\":\"t\",\"label\":[]}", 0);
    check_gold(&many, json, "{\"title\":\"t\",\"label\":[\"art\",\"a|b\",4]}", 1 | 2 | 16);
    check_fault(&many, tsv, "t\tart|", "none of", "");
    check_fault(&many, tsv, "t\tart|a|b", "none of", "a");
    check_fault(&many, json, "{\"title\":\"t\",\"label\":[\"art|2\"]}", "none of", "art|2");
    check_fault(&many, json, "{\"title\":\"t\",\"label\":[[0]]}", "nor an array", "[0]");
    check_fault(&many, json, "{\"title\":\"t\",\"label\":{}}", "nor an array", "{}");
    check_fault(&many, json, "{\"title\":\"t\",\"label\":true}", "nor an array", "true");
}

int main(void) {
    columns();
    one_label();
    many_labels();
    return check_result();
}
