// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cuda/encoder_cuda.h"
#include "host/cli/commands.h"
#include "host/cli/report.h"

// A daemon or cron job may start us with stdin, stdout or stderr closed. Then the next file opened
// would take their place and messages would end up in it. The stand-ins fail as a closed one does.
static bool fill_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1) continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return false;
    }
    return true;
}

// Only files of the model and the kept scores of a --previous run are mapped: one of them lost the
// pages that were about to be read.
static void on_bus_error(int number) {
    (void)number;
    log_from_handler(LOG_ERROR, "error",
                     "a file of the model, or kept scores of --previous, became shorter while in "
                     "use; this output was not committed",
                     STATUS_MODEL);
    _exit(STATUS_MODEL);
}

static enum status run(const struct options *options, struct error *error) {
    switch (options->command) {
        case COMMAND_LABEL:
            return command_label(options, error);
        case COMMAND_RETRY:
            return command_retry(options, error);
        case COMMAND_TOKENIZE:
            return command_tokenize(options, error);
        case COMMAND_CONVERT:
            return command_convert(options, error);
        case COMMAND_INFO:
            return command_info(options, error);
        case COMMAND_EVAL:
            return command_eval(options, error);
        case COMMAND_BENCH:
            return command_bench(options, error);
        case COMMAND_PLAN:
            return command_plan(options, error);
        case COMMAND_STATUS:
            return command_status(options, error);
        case COMMAND_VERIFY:
            return command_verify(options, error);
        case COMMAND_MERGE:
            return command_merge(options, error);
        case COMMAND_DIFF:
            return command_diff(options, error);
        case COMMAND_HELP:
            options_print_help(stdout, options->subject);
            break;
        case COMMAND_VERSION:
            puts("wader " WADER_VERSION);
            break;
        case COMMAND_NONE:
            break;
    }
    if (fflush(stdout) == 0 && !ferror(stdout)) return STATUS_OK;
    return error_set(error, errno == EPIPE ? STATUS_PIPE : STATUS_IO, "stdout: cannot be written");
}

int main(int argc, char **argv) {
    struct options options;
    struct error error = {.text = ""};
    signal(SIGBUS, on_bus_error);
    signal(SIGPIPE, SIG_IGN);  // a write to a closed pipe is an error like any other
    signal(SIGXFSZ, SIG_IGN);  // so is one beyond `ulimit -f`
    if (!fill_standard_streams()) return STATUS_IO;
    log_begin((enum log_format)options_log_format(argc, argv));
    enum status status = options_parse(argc, argv, &options, &error);
    if (status == STATUS_OK) {
        log_begin((enum log_format)options.log_format);
        status = run(&options, &error);
    }
    if (status != STATUS_OK && status != STATUS_PIPE) report_error(&error, status);
    options_free(&options);
    if (encoder_cuda_is_stuck()) _exit((int)status);  // exit() would wait for the driver as well
    return (int)status;
}
