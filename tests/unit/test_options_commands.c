// SPDX-License-Identifier: Apache-2.0
//
// Options of single commands: what each takes of its own, and what it does not take.
#include "tests/support/command_line.h"

// Options of one name with a text of their own in another command, and those of one command alone.
static void convert_and_info(void) {
    const struct options convert = good("convert -m M -o NEW --dtype bf16 --force --labels F -q");
    CHECK_INT(convert.command, COMMAND_CONVERT);
    CHECK_STR(convert.output, "NEW");
    CHECK_STR(convert.labels, "F");
    CHECK(convert.dtype == OUTPUT_BF16 && convert.force && convert.quiet);
    CHECK_INT(good("convert -m M").dtype, OUTPUT_KEEP);
    setenv("WADER_DTYPE", "fp16", 1);
    setenv("WADER_JSON", "1", 1);
    CHECK_INT(good("convert -m M").dtype, OUTPUT_FP16);
    CHECK_INT(good("convert -m M --dtype=fp32").dtype, OUTPUT_FP32);
    CHECK_INT(good("label -m M").dtype, OUTPUT_KEEP);
    CHECK(good("info -m M").json && !good("convert -m M").json);
    unsetenv("WADER_DTYPE");
    unsetenv("WADER_JSON");
    const struct options info = good("info --json -m M --device cpu --threads 3 --max-length 9");
    CHECK(info.command == COMMAND_INFO && info.json && info.threads == 3 && info.max_length == 9);
    CHECK_STR(info.device, "cpu");
    check_refused("convert -m M --dtype int8", "none of keep|fp32|bf16|fp16");
    check_refused("convert -m M --json", "no such option of `wader convert`");
    check_refused("info -m M -o X", "no such option of `wader info`");
    check_refused("label -m M --json", "no such option of `wader label`");
}

static void eval(void) {
    const struct options eval =
        good("eval -m M --label-field /a --title-field t --json --svg F --force -q a.tsv -");
    CHECK_INT(eval.command, COMMAND_EVAL);
    CHECK_STR(eval.label_field, "/a");
    CHECK_STR(eval.title_field, "t");
    CHECK_STR(eval.svg, "F");
    CHECK(eval.json && eval.force && eval.quiet && eval.n_inputs == 2);
    CHECK(good("eval -m M --input-format tsv --labels L --max-length 9").max_length == 9);
    setenv("WADER_LABEL_FIELD", "3", 1);
    CHECK_STR(good("eval -m M").label_field, "3");
    CHECK(good("label -m M").label_field == NULL);
    unsetenv("WADER_LABEL_FIELD");
    check_refused("eval -m M -o X", "no such option of `wader eval`");
    check_refused("eval -m M --id-field 1", "no such option of `wader eval`");
    check_refused("label -m M --svg X", "no such option of `wader label`");
    check_refused("eval x", "--model DIR is required");
}

// retry takes what label takes, but for what only files of titles have.
static void retry(void) {
    const struct options retry = good(
        "retry -m M -o O r.jsonl.gz --title-field t --id-field i --on-bad reject --max-bad 3 "
        "--max-record-bytes 1000 --count-duplicates --force -q");
    CHECK_INT(retry.command, COMMAND_RETRY);
    CHECK_STR(retry.title_field, "t");
    CHECK_INT(retry.on_bad, ON_BAD_REJECT);
    CHECK_INT(retry.max_record_bytes, 1000);
    CHECK(retry.count_duplicates && retry.n_inputs == 1);
    CHECK(good("label -m M --salvage --count-duplicates").salvage);
    CHECK(!good("label -m M").salvage && !good("label -m M").count_duplicates);
    CHECK_INT(good("label -m M").max_record_bytes, 1 << 20);
    check_refused("retry -m M --salvage", "no such option of `wader retry`");
    check_refused("retry -m M --shard 0/1", "no such option of `wader retry`");
    check_refused("label -m M --max-record-bytes 63", "at least 64");
    check_refused("eval -m M --salvage", "no such option of `wader eval`");
}

// Those that look at outputs need no model, and take what label takes.
static void catalog(void) {
    const struct options options =
        good("status -o O --model M --scores all --force --shards 4 --json --header a b");
    CHECK_INT(options.command, COMMAND_STATUS);
    CHECK(options.shards == 4 && options.json && options.n_inputs == 2);
    CHECK_INT(good("verify --quick d").command, COMMAND_VERIFY);
    CHECK(good("verify --ids -o O -m M --shard 1/2 a").ids);
    CHECK(good("merge --quick --batch-tokens 9 -o O a").quick);
    CHECK(good("plan -m M --exact --shards 3 a").exact);
    CHECK_INT(good("plan -m M a").sample, 32);
    CHECK_STR(good("plan -m M --titles-per-s 9 a").titles_per_s, "9");
    check_refused("plan a", "--model DIR is required");
    check_refused("status --ids a", "no such option of `wader status`");
    check_refused("status --shards 0 a", "at least 1");
    check_refused("label -m M --quick a", "no such option");
    check_refused("label -m M --hex a", "no such option");
}

// The one command without a model, and the one option that comes several times.
static void diff(void) {
    const struct options diff =
        good("diff OLD --fail-on psi>0.2 --html P --json --fail-on=flips>2% --force -q NEW");
    CHECK_INT(diff.command, COMMAND_DIFF);
    CHECK(diff.model == NULL && diff.json && diff.force && diff.quiet && diff.n_inputs == 2);
    CHECK_STR(diff.html, "P");
    CHECK_INT(diff.fail_on.n, 2);
    CHECK_STR(diff.fail_on.items[0], "psi>0.2");
    CHECK_STR(diff.fail_on.items[1], "flips>2%");
    setenv("WADER_FAIL_ON", "bad>1%", 1);
    const struct options twin = good("diff OLD NEW");
    CHECK(twin.fail_on.n == 1 && strcmp(twin.fail_on.items[0], "bad>1%") == 0);
    CHECK_INT(good("diff OLD NEW --fail-on psi>1").fail_on.n, 1);
    unsetenv("WADER_FAIL_ON");
    check_refused("diff OLD NEW -m M", "no such option of `wader diff`");
    check_refused("diff OLD NEW --fail-on", "needs a value");
    check_refused("eval -m M --fail-on psi>1", "no such option of `wader eval`");
}

int main(void) {
    convert_and_info();
    eval();
    retry();
    catalog();
    diff();
    return check_result();
}
