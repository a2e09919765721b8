// SPDX-License-Identifier: Apache-2.0
//
// The text of --metrics: names, types and values as Prometheus reads them, whatever the file is
// called; and what the next run reads of it.
#include "host/cli/run_metrics.h"

#include "tests/check.h"

static const struct totals totals = {
    .read = 12,
    .by_status = {[RECORD_OK] = 7, [RECORD_NO_TITLE] = 5},
    .tokens = UINT64_MAX,
    .unknown_tokens = 3,
    .seconds = {.encode = 1.5},
};
static const size_t by_state[ITEM_STATES] = {[ITEM_DONE] = 2, [ITEM_FAILED] = 1};

static struct buffer text_of(const char *path, bool ended, int exit_code, double last_success) {
    const struct metrics_facts facts = {
        .path = path,
        .command = "label",
        .totals = &totals,
        .read_nbytes = 5,
        .total_nbytes = 50,
        .by_state = by_state,
        .started = 1796000000,
        .now = 1796000009.25,
        .seconds = 9.25,
        .last_success = last_success,
        .ended = ended,
        .exit_code = exit_code,
    };
    struct buffer text = {0};
    metrics_add_text(&text, &facts);
    buffer_add(&text, "", 1);
    CHECK(!text.failed);
    return text;
}

static double success_in(const struct buffer *text) {
    return metrics_last_success((struct span){text->bytes, text->len - 1});
}

static bool is_name(const char *at, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((at[i] < 'a' || at[i] > 'z') && at[i] != '_') return false;
    }
    return len > 6 && memcmp(at, "wader_", 6) == 0;
}

// Labels in braces, values in quotes with their quotes, backslashes and line ends escaped. Returns
// what comes behind, or NULL.
static const char *skip_labels(const char *at) {
    for (char before = '{'; *at == before; before = ',') {
        at += 1 + strcspn(at + 1, "=,}\"\n ");
        if (strncmp(at, "=\"", 2) != 0) return NULL;
        for (at += 2; *at != '"'; at++) {
            if (*at == '\\' && strchr("\\\"n", *++at) == NULL) return NULL;
            if (*at == '\0' || *at == '\n') return NULL;
        }
        at++;
    }
    return *at == '}' ? at + 1 : NULL;
}

// Line by line: # HELP and # TYPE of a name, then its series, each once.
static void check_syntax(const char *text) {
    char name[200] = "", type[20] = "";
    int n_series = 0;
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        char *number;
        CHECK(end != NULL);
        if (end == NULL) return;
        if (strncmp(line, "# HELP ", 7) == 0) {
            CHECK(n_series > 0 || name[0] == '\0');
            const size_t len = strcspn(line + 7, " ");
            CHECK(is_name(line + 7, len) && line[7 + len] == ' ' && line[8 + len] != '\n');
            snprintf(name, sizeof name, "%.*s", (int)len, line + 7);
            n_series = 0;
            type[0] = '\0';
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            const size_t len = strlen(name);
            CHECK(strncmp(line + 7, name, len) == 0 && line[7 + len] == ' ' && type[0] == '\0');
            snprintf(type, sizeof type, "%.*s", (int)(end - line - 8 - (long)len), line + 8 + len);
            const bool total = len > 6 && strcmp(name + len - 6, "_total") == 0;
            CHECK(strcmp(type, total ? "counter" : "gauge") == 0);
        } else {
            const size_t len = strlen(name);
            CHECK(type[0] != '\0' && strncmp(line, name, len) == 0);
            const char *value = line[len] == '{' ? skip_labels(line + len) : NULL;
            CHECK(value != NULL && *value == ' ');
            if (value == NULL) return;
            CHECK(strtod(value, &number) >= 0.0);
            CHECK(number == end);
            n_series++;
        }
        line = end + 1;
    }
    CHECK(n_series > 0);
}

static void contents(void) {
    struct buffer text = text_of("/x/nightly.prom", false, 0, 0.0);
    check_syntax(text.bytes);
    CHECK(strncmp(text.bytes, RUN_METRICS_OPENING, strlen(RUN_METRICS_OPENING)) == 0);
    CHECK_CONTAINS(text.bytes, "\nwader_run_active{run=\"nightly\"} 1\n");
    CHECK_CONTAINS(text.bytes, "\nwader_rows_total{run=\"nightly\",status=\"ok\"} 7\n");
    CHECK_CONTAINS(text.bytes, "\nwader_rows_total{run=\"nightly\",status=\"missing_title\"} 5\n");
    CHECK_CONTAINS(text.bytes, "\nwader_tokens_total{run=\"nightly\"} 18446744073709551615\n");
    CHECK_CONTAINS(text.bytes, "\nwader_outputs{run=\"nightly\",state=\"failed\"} 1\n");
    CHECK_CONTAINS(text.bytes, "{run=\"nightly\",stage=\"encode\"} 1.500\n");
    CHECK(strstr(text.bytes, "exit_code") == NULL && strstr(text.bytes, "last_success") == NULL);
    CHECK(success_in(&text) == 0.0);
    buffer_free(&text);
    static const char *const odd[] = {"a\"b\\c\nd.prom", "\xff.prom", ".prom", "plain", "a b.PROM"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        text = text_of(odd[i], true, 75, 77.5);
        check_syntax(text.bytes);
        CHECK(success_in(&text) == 77.5);
        buffer_free(&text);
    }
    text = text_of(odd[0], true, 75, 0.0);
    CHECK_CONTAINS(text.bytes, "\nwader_run_exit_code{run=\"a\\\"b\\\\c\\nd\"} 75\n");
    buffer_free(&text);
}

// The last success outlives runs that fail, and the next one that ends well.
static void last_success(void) {
    struct buffer text = text_of("m.prom", true, 0, 77.5);
    CHECK(success_in(&text) == 1796000009.25);
    buffer_free(&text);
    text = text_of("m.prom", true, 3, 1796000009.25);
    CHECK(success_in(&text) == 1796000009.25);
    for (size_t n = 0; n < text.len; n++) {  // cut anywhere: what it says, or nothing
        const double value = metrics_last_success((struct span){text.bytes, n});
        CHECK(value == 0.0 || value == 1796000009.25);
    }
    buffer_free(&text);
    static const char *const nonsense[] = {
        "{run=\"x\"} nan\n", "{run=\"x\"} -5\n", "{} 1e300\n", "{}\n", "{} \n",
        "{} 5x\n",           "x{} 5\n",          "{} 5"};
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
        char line[200];
        snprintf(line, sizeof line, "wader_run_last_success_timestamp_seconds%s", nonsense[i]);
        CHECK(metrics_last_success(span_text(line)) == 0.0);
    }
    CHECK(metrics_last_success((struct span){NULL, 0}) == 0.0);
}

int main(void) {
    contents();
    last_success();
    return check_result();
}
