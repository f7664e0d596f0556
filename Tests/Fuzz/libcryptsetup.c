// Any bytes as a LUKS header: the JSON of LUKS2 under checksums that are right, or the first sectors of LUKS1.
// with: -l:libcryptsetup.a -ldevmapper -ljson-c -largon2 -l:libblkid.a -l:libuuid.a -lcrypto -lm

#define _GNU_SOURCE
#include <libcryptsetup.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER = 16 << 10, DEVICE = 4 << 20 };

static void silent(int level, const char *text, void *context) { (void)level, (void)text, (void)context; }

// One copy: its binary part is right, but for what the input says of sequence number, label and salt.
static void copy(int disk, int second, const uint8_t *json, size_t count, uint8_t sequence) {
    static unsigned char header[HEADER];
    memset(header, 0, sizeof header);
    memcpy(header, second ? "SKUL\xba\xbe" : "LUKS\xba\xbe", 6);
    header[7] = 2;
    header[14] = HEADER >> 8;
    header[23] = sequence;
    strcpy((char *)header + 72, "sha256");
    strcpy((char *)header + 168, "0a1b2c3d-0000-4000-8000-000000000001");
    if (second) header[262] = HEADER >> 8;
    memcpy(header + 4096, json, count < HEADER - 4097 ? count : HEADER - 4097);
    SHA256(header, sizeof header, header + 448);
    pwrite(disk, header, sizeof header, second ? HEADER : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count) {
    if (count < 2) return 0;
    static int disk = -1;
    static char path[64];
    if (disk < 0) {
        disk = memfd_create("disk", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", disk);
        crypt_set_log_callback(NULL, silent, NULL);
        crypt_metadata_locking(NULL, 0);
    }
    if (ftruncate(disk, 0) || ftruncate(disk, DEVICE)) __builtin_trap();
    if (data[0] & 1) {
        pwrite(disk, "LUKS\xba\xbe\0\1", 8, 0);
        pwrite(disk, data + 1, count - 1, 8);
    } else {
        // The second copy has the same text, or a part of it.
        copy(disk, 0, data + 1, count - 1, 3);
        copy(disk, 1, data + 1, data[0] & 2 ? count - 1 : count / 2, data[0] & 4 ? 3 : 4);
    }
    struct crypt_device *device;
    if (crypt_init(&device, path)) return 0;
    if (crypt_load(device, NULL, NULL) == 0) {
        crypt_get_uuid(device);
        const char *label = crypt_get_label(device);
        if (label && strlen(label) > 48) __builtin_trap();
        crypt_get_data_offset(device);
        crypt_get_volume_key_size(device);
        crypt_get_cipher(device);
        uint32_t flags;
        crypt_persistent_flags_get(device, CRYPT_FLAGS_ACTIVATION, &flags);
        uint64_t metadata, area;
        crypt_get_metadata_size(device, &metadata, &area);
        for (int slot = 0; slot < 32; slot++) {
            struct crypt_pbkdf_type derivation;
            crypt_keyslot_status(device, slot);
            crypt_keyslot_get_pbkdf(device, slot, &derivation);
            const char *token;
            if (crypt_token_json_get(device, slot, &token) >= 0 && token && strlen(token) > HEADER) __builtin_trap();
        }
    }
    crypt_free(device);
    return 0;
}
