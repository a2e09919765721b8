// SPDX-License-Identifier: Apache-2.0
//
// The main program of a fuzz target where libFuzzer is not linked in: runs the target on every file
// given, and on every file of every directory given, in order of name. No file at all is a failure,
// so that a lost corpus does not pass for a good one.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stop(const char *path) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0) stop(path);
    // Exactly as large as the file, so that a sanitizer sees the first byte read past the end.
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) stop(path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

// The number of files run.
static long run_path(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) stop(path);
    if (!S_ISDIR(info.st_mode)) {
        run_file(path);
        return 1;
    }
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, not_hidden, alphasort);
    if (n < 0) stop(path);
    long n_files = 0;
    for (int i = 0; i < n; i++) {
        char child[4096];
        int len = snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (len < 0 || (size_t)len >= sizeof child) {
            errno = ENAMETOOLONG;
            stop(path);
        }
        n_files += run_path(child);
    }
    free(entries);
    return n_files;
}

int main(int argc, char **argv) {
    long n_files = 0;
    for (int i = 1; i < argc; i++) n_files += run_path(argv[i]);
    printf("%ld files replayed\n", n_files);
    if (n_files == 0) fprintf(stderr, "nothing to replay\n");
    return n_files > 0 ? 0 : 1;
}
