#define _GNU_SOURCE
#if defined(__x86_64__)
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// QEMU without KVM offers vector instructions and emulates each of them with a call: libcrypto's
// SHA-256 for AVX2 takes three times as long there as the one for plain registers, and with it the
// verification of a root image outlasts its download. AES and carry-less multiplication stay as
// they are.
//
// libcrypto takes the choice from the environment, in its .init section: after .preinit_array and
// before any constructor. In between, the environment is one of our own, so that no program started
// later inherits the choice; and it is put back as the same array, beside which Swift looks for the
// command line.
//
// See OPENSSL_ia32cap(3): bit 41 is SSSE3, bit 60 AVX; the second vector is leaf 7, with AVX2 and SHA.
static char *choice[] = {"OPENSSL_ia32cap=~0x1000020000000000:0", NULL};
// volatile: a compiler takes it for granted that nothing runs before the first constructor.
static char **volatile inherited;

static void choose_plain_registers(void) {
    unsigned int highest, signature[3];
    __cpuid(0x40000000, highest, signature[0], signature[1], signature[2]);
    if (memcmp(signature, "TCGTCGTCGTCG", sizeof signature) != 0) return;
    inherited = environ;
    environ = choice;
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libcrypto)(void) = choose_plain_registers;

__attribute__((constructor(101))) static void put_environment_back(void) {
    if (inherited != NULL) environ = inherited;
}
#endif
