// SPDX-License-Identifier: Apache-2.0
//
// AVX-512 (Ice Lake and Zen 4 on). See lanes.h for what each loop does.
#include <immintrin.h>
#include <string.h>

#include "tokenizer/decode.h"
#include "tokenizer/lanes.h"

enum {
    WIDTH = 16,  // words in a vector
    GROUPS = 3,  // vectors under way: more hide more latency, until registers run out
};

// ---- copy

// The first `n` of 64.
static uint64_t first_bits(size_t n) {
    return n < 64 ? _bzhi_u64(~UINT64_C(0), (unsigned)n) : ~UINT64_C(0);
}

static __mmask64 in_range(__m512i bytes, char first, char last) {
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, _mm512_set1_epi8(first)),
                                  _mm512_set1_epi8((char)(last - first)));
}

// Which of the bytes start a character that has to be looked at: all in `high`, the bytes beyond
// ASCII. `next` are the bytes that follow.
static uint64_t stops_beyond_ascii(const struct copy_rules *rules, __m512i bytes, __m512i next,
                                   uint64_t high) {
    const __m512i seven = _mm512_set1_epi8(7);
    const uint64_t two = high & in_range(bytes, (char)0xC2, (char)0xDF);
    const uint64_t three = high & in_range(bytes, (char)0xE0, (char)0xEF);
    const uint64_t other = high & ~two & ~three & ~in_range(bytes, (char)0x80, (char)0xBF);
    // second / 8 in the low three bits, the first byte's above.
    const __m512i second = _mm512_and_si512(_mm512_srli_epi16(next, 3), seven);
    const __m512i at = _mm512_or_si512(
        second, _mm512_and_si512(_mm512_slli_epi16(bytes, 3), _mm512_set1_epi8((char)0xF8)));
    const __m512i bit = _mm512_shuffle_epi8(_mm512_set1_epi64((long long)0x8040201008040201),
                                            _mm512_and_si512(next, seven));
    const uint8_t *table = rules->two_bytes;
    const __m512i lower_half =
        _mm512_permutex2var_epi8(_mm512_loadu_si512(table), at, _mm512_loadu_si512(table + 64));
    const __m512i upper_half = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), at,
                                                        _mm512_loadu_si512(table + 192));
    const __m512i found2 = _mm512_mask_mov_epi8(lower_half, _mm512_movepi8_mask(at), upper_half);
    const __m512i found3 = _mm512_permutex2var_epi8(_mm512_loadu_si512(rules->three_bytes), at,
                                                    _mm512_loadu_si512(rules->three_bytes + 64));
    return other | (two & _mm512_test_epi8_mask(found2, bit)) |
           (three & _mm512_test_epi8_mask(found3, bit));
}

static bool is_word(const struct copy_rules *rules, const uint8_t *at, const uint8_t *end) {
    size_t len;
    if (*at == rules->added_lead) {
        return trie_longest(rules->trie, TRIE_ADDED, at, end).len == 0;
    }
    const int32_t code = utf8_decode(at, end, &len);
    return code >= 0 && char_map_at(rules->chars, code) == CHAR_WORD;
}

static size_t copy(const struct copy_rules *rules, const uint8_t *from, size_t n, uint8_t *to) {
    const __m512i case_bit = _mm512_set1_epi8(rules->lowercase ? 'a' - 'A' : 0);
    // Of -1 the byte is 0xFF, which is not ASCII and so not looked for here.
    const __m512i added = _mm512_set1_epi8((char)rules->added_lead);
    for (size_t i = 0; i < n; i += 64) {
        const uint64_t inside = first_bits(n - i);
        const __m512i bytes = _mm512_maskz_loadu_epi8(inside, from + i);
        const uint64_t high = _mm512_movepi8_mask(bytes);
        uint64_t look = inside & ~high & ~in_range(bytes, ' ', '~');
        look |= inside & _mm512_cmpeq_epi8_mask(bytes, added) & ~high;
        const __mmask64 upper = in_range(bytes, 'A', 'Z');
        _mm512_storeu_si512(to + i, _mm512_mask_add_epi8(bytes, upper, bytes, case_bit));
        if (high != 0) {
            const uint64_t there = first_bits(n - i - 1);
            const __m512i next = _mm512_maskz_loadu_epi8(there, from + i + 1);
            look |= stops_beyond_ascii(rules, bytes, next, high);
        }
        for (; look != 0; look &= look - 1) {
            const size_t at = i + (size_t)__builtin_ctzll(look);
            if (!is_word(rules, from + at, from + n)) return at;
        }
    }
    return n;
}

// ---- split

// The offsets of the bits of `mask`, which stand for 64 bytes from `base`, to `out`.
static void put_offsets(__mmask64 mask, uint32_t base, uint32_t *out) {
    const __m512i each = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i bits = _mm512_maskz_compress_epi8(mask, each);
    const __m512i from = _mm512_set1_epi32((int)base);
    _mm512_storeu_si512(out,
                        _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(bits))));
    if (_mm_popcnt_u64(mask) <= WIDTH) return;
    _mm512_storeu_si512(
        out + 16, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bits, 1))));
    _mm512_storeu_si512(
        out + 32, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bits, 2))));
    _mm512_storeu_si512(
        out + 48, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bits, 3))));
}

static void split(const uint8_t *text, size_t n, struct word_list *words) {
    size_t n_starts = 0, n_ends = 0;
    uint64_t word_before = 0, alone_before = 0;
    for (size_t i = 0; i < n; i += 64) {
        const __m512i bytes = _mm512_loadu_si512(text + i);
        const __m512i lower = _mm512_or_si512(bytes, _mm512_set1_epi8('a' - 'A'));
        const uint64_t inside = first_bits(n - i);
        const uint64_t blank = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(' '));
        const uint64_t alone = inside & in_range(bytes, '!', '~') & ~in_range(lower, 'a', 'z') &
                               ~in_range(bytes, '0', '9');
        const uint64_t word = inside & ~blank & ~alone;
        const uint64_t after_word = word << 1 | word_before;
        const uint64_t after_alone = alone << 1 | alone_before;
        const uint64_t starts = (word & ~after_word) | alone;
        const uint64_t ends = (after_word & ~word) | after_alone;
        put_offsets(starts, (uint32_t)i, words->starts + n_starts);
        put_offsets(ends, (uint32_t)i, words->ends + n_ends);
        n_starts += (size_t)_mm_popcnt_u64(starts);
        n_ends += (size_t)_mm_popcnt_u64(ends);
        word_before = word >> 63;
        alone_before = alone >> 63;
    }
    if (n_ends < n_starts) words->ends[n_ends] = (uint32_t)n;
    words->n = n_starts;
}

// ---- walk

// Where each of sixteen walks stands.
struct walks {
    __m512i word, end;   // where the word starts and ends
    __m512i at;          // the next byte
    __m512i base;        // of the children of the node reached
    __m512i last, slot;  // the longest token seen so far: its end, its slot, 0 for none
};

static void append(struct word_list *list, __mmask16 which, __m512i starts, __m512i ends) {
    _mm512_storeu_si512(list->starts + list->n, _mm512_maskz_compress_epi32(which, starts));
    _mm512_storeu_si512(list->ends + list->n, _mm512_maskz_compress_epi32(which, ends));
    list->n += (size_t)__builtin_popcount(which);
}

// Moves words of more than `max_len` bytes to `left`.
static void set_aside(struct word_list *words, uint32_t max_len, struct word_list *left) {
    const __m512i max = _mm512_set1_epi32((int)max_len);
    const size_t n_words = words->n;
    words->n = 0;
    for (size_t i = 0; i < n_words; i += WIDTH) {
        const __m512i starts = _mm512_loadu_si512(words->starts + i);
        const __m512i ends = _mm512_loadu_si512(words->ends + i);
        const __mmask16 inside = (__mmask16)first_bits(n_words - i);
        const __mmask16 longer =
            _mm512_mask_cmpgt_epu32_mask(inside, _mm512_sub_epi32(ends, starts), max);
        if (longer == 0 && words->n == i) {
            words->n += n_words - i < WIDTH ? n_words - i : WIDTH;
        } else {
            append(left, longer, starts, ends);
            append(words, inside & ~longer, starts, ends);
        }
    }
}

static bool all_idle(const struct walks *walks) {
    const __m512i idle = _mm512_set1_epi32(IDLE_AT);
    __mmask16 busy = 0;
    for (int g = 0; g < GROUPS; g++) busy |= _mm512_cmpneq_epi32_mask(walks[g].end, idle);
    return busy == 0;
}

// Walks all words; returns how many tokens were found, each of which is known by its end.
static size_t find_tokens(const struct trie *trie, const uint8_t *text,
                          const struct word_list *words, struct token_list *tokens,
                          struct word_list *left) {
    const __m512i start_root = _mm512_set1_epi32((int)trie->root_base[TRIE_START]);
    const __m512i continue_root = _mm512_set1_epi32((int)trie->root_base[TRIE_CONTINUE]);
    const __m512i zero = _mm512_setzero_si512(), byte = _mm512_set1_epi32(255);
    const __m512i idle = _mm512_set1_epi32(IDLE_AT);
    const trie_node *nodes = trie->nodes;
    const size_t n_words = words->n;
    // Where the compiler knows that a gather fills all lanes, it lets it wait for whatever its
    // register held before.
    __mmask16 all = 0xFFFF;
    __asm__("" : "+Yk"(all));
    struct walks walks[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        walks[g] = (struct walks){idle, idle, idle, start_root, idle, zero};
    }
    size_t next = 0, n_tokens = 0;
    do {
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; g++) {
            struct walks *w = &walks[g];
            const __m512i c =
                _mm512_and_si512(_mm512_mask_i32gather_epi32(zero, all, w->at, text, 1), byte);
            const __m512i slot = _mm512_xor_si512(w->base, c);
            const __m512i node = _mm512_mask_i32gather_epi32(zero, all, slot, nodes, 4);
            const __mmask16 fits = _mm512_cmpeq_epi32_mask(_mm512_and_si512(node, byte), c);
            const __mmask16 token =
                _mm512_mask_test_epi32_mask(fits, node, _mm512_set1_epi32(TRIE_END_BIT));
            w->at = _mm512_mask_add_epi32(w->at, fits, w->at, _mm512_set1_epi32(1));
            w->base = _mm512_mask_srli_epi32(w->base, fits, node, TRIE_BASE_SHIFT);
            w->last = _mm512_mask_mov_epi32(w->last, token, w->at);
            w->slot = _mm512_mask_mov_epi32(w->slot, token, slot);
            // A token is cut off where nothing longer can follow.
            const __mmask16 stuck = (__mmask16)(~fits | _mm512_cmpeq_epi32_mask(w->at, w->end) |
                                                _mm512_testn_epi32_mask(w->base, w->base));
            const __mmask16 found = _mm512_mask_test_epi32_mask(stuck, w->slot, w->slot);
            _mm512_storeu_si512(tokens->ends + n_tokens,
                                _mm512_maskz_compress_epi32(found, w->last));
            _mm512_storeu_si512(tokens->slots + n_tokens,
                                _mm512_maskz_compress_epi32(found, w->slot));
            n_tokens += (size_t)__builtin_popcount(found);
            const __mmask16 none = stuck & ~found;
            if (__builtin_expect(none != 0, 0)) {
                append(left, _mm512_mask_cmplt_epu32_mask(none, w->last, w->end), w->word, w->end);
            }
            const __mmask16 over = none | _mm512_mask_cmpeq_epi32_mask(stuck, w->last, w->end);
            w->at = _mm512_mask_mov_epi32(w->at, stuck, w->last);
            w->base = _mm512_mask_mov_epi32(w->base, stuck, continue_root);
            w->slot = _mm512_mask_mov_epi32(w->slot, stuck, zero);
            // The next words take the lanes that have become free. (Loaded first: expanding from
            // memory is slow.)
            __m512i starts = _mm512_loadu_si512(words->starts + next);
            __m512i ends = _mm512_loadu_si512(words->ends + next);
            __asm__("" : "+v"(starts), "+v"(ends));
            next += (size_t)__builtin_popcount(over);
            if (next > n_words) next = n_words;
            w->at = _mm512_mask_expand_epi32(w->at, over, starts);
            w->end = _mm512_mask_expand_epi32(w->end, over, ends);
            w->word = _mm512_mask_mov_epi32(w->word, over, w->at);
            w->last = _mm512_mask_mov_epi32(w->last, over, w->at);
            w->base = _mm512_mask_mov_epi32(w->base, over, start_root);
        }
    } while (next < n_words || !all_idle(walks));
    return n_tokens;
}

static void walk(const struct trie *trie, const uint8_t *text, struct word_list *words,
                 uint32_t max_len, mark *marks, struct token_list *tokens, struct word_list *left) {
    set_aside(words, max_len, left);
    const __m512i idle = _mm512_set1_epi32(IDLE_AT);
    _mm512_storeu_si512(words->starts + words->n, idle);
    _mm512_storeu_si512(words->ends + words->n, idle);
    const size_t n = find_tokens(trie, text, words, tokens, left);
    for (size_t i = 0; i < n; i++) {
        marks[tokens->ends[i] - 1] = (mark)trie->ids[tokens->slots[i]] + 1;
    }
}

// ---- gather

static void gather(mark *marks, size_t n, const uint32_t *title_ends, size_t n_titles, int32_t *ids,
                   uint32_t *n_before) {
    const __m512i one = _mm512_set1_epi32(1), zero = _mm512_setzero_si512();
    uint32_t n_ids = 0;
    size_t title = 0;
    for (size_t i = 0; i < n; i += WIDTH) {
        const __m512i block = _mm512_loadu_si512(marks + i);
        const __mmask16 there = _mm512_test_epi32_mask(block, block);
        _mm512_storeu_si512(marks + i, zero);
        _mm512_storeu_si512(ids + n_ids,
                            _mm512_sub_epi32(_mm512_maskz_compress_epi32(there, block), one));
        while (title < n_titles && title_ends[title] < i + WIDTH) {
            const unsigned end = (unsigned)(title_ends[title] - i);
            n_before[title++] = n_ids + (uint32_t)__builtin_popcount(_bzhi_u32(there, end + 1));
        }
        n_ids += (uint32_t)__builtin_popcount(there);
    }
}

const struct lanes lanes_avx512 = {copy, split, walk, gather};
