// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a configuration file, for two commands: refused by file and line, or every option it
// gave has a value within the text, and the other command, which checks the same lines, agrees.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/options_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status read_as(enum command command, const uint8_t *data, size_t size) {
    struct options options = {.command = command};
    struct error error = {.text = ""};
    char *text = malloc(size + 1);
    if (text == NULL) abort();
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    enum status status = options_read_text(text, size, "FILE", &options, &error);
    assert(status == STATUS_OK || status == STATUS_USAGE);
    if (status != STATUS_OK) assert(strncmp(error.text, "FILE: ", 6) == 0);
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        const struct option *option = &option_table[i];
        if (options.origin[i] == ORIGIN_DEFAULT) continue;
        assert(options.origin[i] == ORIGIN_FILE);
        assert((option->commands & command_table[command].commands) != 0);
        if (option->kind != KIND_TEXT || status != STATUS_OK) continue;
        const char *value = *(const char *const *)(const void *)((char *)&options + option->offset);
        assert(value > text && value < text + size && *value != '\0');
        assert(value + strlen(value) <= text + size);
    }
    free(text);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    assert(read_as(COMMAND_LABEL, data, size) == read_as(COMMAND_DIFF, data, size));
    return 0;
}
