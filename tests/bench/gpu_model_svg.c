// SPDX-License-Identifier: Apache-2.0
//
// The time line of each case as a bar: nanoseconds a token, one part for each step, products in
// blue, what moves memory in orange, gaps at the end in grey.
#include <math.h>
#include <string.h>

#include "tests/bench/gpu_model.h"

enum { WIDTH = 1000, LEFT = 120, RIGHT = 90, TOP = 74, ROW = 46, BAR = 26, NAME_WIDTH = 7 };

static double ns_a_token(const struct gpu_case *one) {
    return 1e9 * one->model.seconds / one->model.tokens;
}

static void add_bar(const struct gpu_case *one, double y, double scale, struct buffer *out) {
    double x = LEFT;
    const double gap = one->model.gap_seconds / one->model.n_launches;
    for (int32_t i = 0; i <= one->model.n_steps; i++) {
        const bool is_gap = i == one->model.n_steps;
        const struct run_step *step = &one->model.steps[is_gap ? 0 : i];
        const double seconds =
            is_gap ? one->model.gap_seconds : step->seconds - step->n_launches * gap;
        const double width = 1e9 * seconds / one->model.tokens * scale;
        const char *name = is_gap ? "gaps" : step->name;
        buffer_add_format(out,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\" "
                          "stroke=\"#fff\" stroke-width=\"0.6\"><title>%s: %.2f ns a token"
                          "</title></rect>\n",
                          x, y, width, (int)BAR,
                          is_gap             ? "#8c959f"
                          : step->is_product ? "#1f5fa8"
                                             : "#c2571a",
                          name, 1e9 * seconds / one->model.tokens);
        if (width > NAME_WIDTH * (double)strlen(name)) {
            buffer_add_format(out,
                              "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#fff\">%s"
                              "</text>\n",
                              x + width / 2, y + 17, name);
        }
        x += width;
    }
    buffer_add_format(out, "<text x=\"%.1f\" y=\"%.1f\">%.0f ns</text>\n", x + 6, y + 17,
                      ns_a_token(one));
}

void gpu_print_svg(const struct gpu_settings *settings, const struct gpu_case *cases,
                   int32_t n_cases, struct buffer *out) {
    double most = 0;
    for (int32_t i = 0; i < n_cases; i++) most = fmax(most, ns_a_token(&cases[i]));
    const double scale = (WIDTH - LEFT - RIGHT) / most;
    const int height = TOP + ROW * n_cases + 20;
    buffer_add_format(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" role=\"img\">\n<style>text{font:12px system-ui,"
        "sans-serif}</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
        (int)WIDTH, height, (int)WIDTH, height);
    buffer_add_format(out,
                      "<text x=\"16\" y=\"26\" style=\"font-size:16px;font-weight:600\">Modelled, "
                      "not measured: where a token's time goes</text>\n<text x=\"16\" y=\"48\" "
                      "fill=\"#57606a\">%d layers, %d wide, titles of %d tokens; blue: products, "
                      "orange: other kernels, grey: gaps between launches</text>\n",
                      (int)settings->config.n_layers, (int)settings->config.hidden_size,
                      (int)settings->title_tokens);
    for (int32_t i = 0; i < n_cases; i++) {
        const double y = TOP + ROW * i;
        buffer_add_format(out, "<text x=\"16\" y=\"%.1f\">%s %s</text>\n", y + 17,
                          cases[i].facts->name, run_tier_name(cases[i].tier));
        add_bar(&cases[i], y, scale, out);
    }
    buffer_add_text(out, "</svg>\n");
}
