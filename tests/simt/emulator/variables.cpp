// SPDX-License-Identifier: Apache-2.0
//
// The program's variables as its own symbol table lists them (System V ABI, "Symbol Table"). A
// static array of a kernel is an object whose mangled name begins with _ZZ: local to a function.
#include <cxxabi.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "checker.h"

extern "C" char __executable_start, __data_start, _end;

namespace simt {

struct variable {
    uintptr_t address;
    size_t nbytes;
    std::string name;
    bool is_local;
};

static std::vector<variable> &variables = *new std::vector<variable>;  // by address

uintptr_t variables_start(void) {
    return (uintptr_t)&__data_start / 16 * 16;
}

size_t variables_nbytes(void) {
    return (uintptr_t)&_end - variables_start() + 64;
}

bool is_constant(const void *at) {
    return (uintptr_t)at >= (uintptr_t)&__executable_start && (uintptr_t)at < variables_start();
}

static std::vector<char> read_program(void) {
    std::vector<char> bytes;
    FILE *file = fopen("/proc/self/exe", "rb");
    char block[65536];
    for (size_t n = 1; file != nullptr && n > 0;) {
        n = fread(block, 1, sizeof block, file);
        bytes.insert(bytes.end(), block, block + n);
    }
    if (file != nullptr) fclose(file);
    return bytes;
}

static void read_symbols(const char *program, const Elf64_Shdr *section, const char *names,
                         uintptr_t base) {
    const Elf64_Sym *symbols = reinterpret_cast<const Elf64_Sym *>(program + section->sh_offset);
    for (size_t i = 0; i < section->sh_size / sizeof *symbols; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        const uintptr_t address = base + symbol->st_value;
        if (ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT || symbol->st_size == 0) continue;
        if (address < variables_start() || address >= (uintptr_t)&_end) continue;
        const char *name = names + symbol->st_name;
        variables.push_back({address, symbol->st_size, name, strncmp(name, "_ZZ", 3) == 0});
    }
}

static void list_variables(void) {
    const std::vector<char> program = read_program();
    const Elf64_Ehdr *header = reinterpret_cast<const Elf64_Ehdr *>(program.data());
    if (program.size() > sizeof *header) {
        const Elf64_Shdr *sections =
            reinterpret_cast<const Elf64_Shdr *>(program.data() + header->e_shoff);
        const uintptr_t base = header->e_type == ET_DYN ? (uintptr_t)&__executable_start : 0;
        for (int i = 0; i < header->e_shnum; i++) {
            if (sections[i].sh_type != SHT_SYMTAB) continue;
            const char *names = program.data() + sections[sections[i].sh_link].sh_offset;
            read_symbols(program.data(), &sections[i], names, base);
        }
    }
    if (variables.empty()) {
        fprintf(stderr, "simt: the program has no symbol table, which the checker needs\n");
        abort();
    }
    std::sort(variables.begin(), variables.end(),
              [](const variable &a, const variable &b) { return a.address < b.address; });
}

void mark_static_shared(content *bytes) {
    list_variables();
    for (const variable &one : variables) {
        if (!one.is_local) continue;
        memset(bytes + (one.address - variables_start()), (int)content::fresh, one.nbytes);
    }
}

void describe_variable(const void *at, char *out, size_t cap) {
    const variable *nearest = nullptr;
    for (const variable &one : variables) {
        if (one.address <= (uintptr_t)at) nearest = &one;
    }
    if (nearest == nullptr) {
        snprintf(out, cap, "address %p, among the program's variables", at);
        return;
    }
    int status;
    char *readable = abi::__cxa_demangle(nearest->name.c_str(), nullptr, nullptr, &status);
    const char *name = status == 0 ? readable : nearest->name.c_str();
    // Of a function's variable, what follows its arguments.
    const char *own = strrchr(name, ':');
    snprintf(out, cap, "byte %zu of the %zu of %s %s", (size_t)at - nearest->address,
             nearest->nbytes, nearest->is_local ? "shared" : "the host's variable",
             own != nullptr && nearest->is_local ? own + 1 : name);
    free(readable);
}

}  // namespace simt
