// SPDX-License-Identifier: Apache-2.0
//
// The loop of a caller in C around a function of BlingFire's interface, for engines.py: lines of
// `data` to ids, [CLS] and [SEP] around each, and how many each has. Returns how many ids, or -1.
#include <string.h>

typedef int text_to_ids(void *model, const char *text, int nbytes, int *ids, int ids_max, int unk);

long loop(text_to_ids *function, void *model, const char *data, long nbytes, int *ids, long ids_max,
          int *lengths, int unk, int cls, int sep) {
    const char *end = data + nbytes;
    long n = 0;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (newline == NULL) newline = end;
        if (n + 2 > ids_max) return -1;
        ids[n++] = cls;
        long room = ids_max - n - 1;
        int count = function(model, data, (int)(newline - data), ids + n,
                             room > 1000000 ? 1000000 : (int)room, unk);
        if (count < 0 || count > room) return -1;
        n += count;
        ids[n++] = sep;
        *lengths++ = count + 2;
        data = newline + 1;
    }
    return n;
}
