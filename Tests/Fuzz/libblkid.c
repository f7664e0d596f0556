// Any bytes as what stands on a disk: pieces at places, then every question that BlockProbe asks libblkid.
// with: -l:libblkid.a -lz

#define _GNU_SOURCE
#include <blkid/blkid.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

static const uint64_t sizes[] = {64 << 10, 1 << 20, 16 << 20, 400 << 20};

static void seal(int disk, uint64_t sector, uint64_t place) {
    unsigned char header[92], entries[128 * 128];
    if (pread(disk, header, sizeof header, place) != sizeof header || memcmp(header, "EFI PART", 8)) return;
    uint32_t count, width;
    uint64_t start;
    memcpy(&start, header + 72, 8);
    memcpy(&count, header + 80, 4);
    memcpy(&width, header + 84, 4);
    if (count <= 128 && width <= 128 && start < 1 << 20) {
        ssize_t got = pread(disk, entries, (size_t)count * width, start * sector);
        if (got == (ssize_t)((size_t)count * width)) {
            uint32_t sum = crc32(0, entries, got);
            memcpy(header + 88, &sum, 4);
        }
    }
    memset(header + 16, 0, 4);
    uint32_t sum = crc32(0, header, sizeof header);
    memcpy(header + 16, &sum, 4);
    pwrite(disk, header, sizeof header, place);
}

// As PartitionTableReader asks before libblkid is asked about a GPT.
static int claims_too_much(int disk, uint64_t sector, uint64_t size) {
    uint64_t places[] = {sector, size - sector};
    for (int place = 0; place < 2; place++) {
        unsigned char header[92];
        uint32_t count;
        if (pread(disk, header, sizeof header, places[place]) != sizeof header || memcmp(header, "EFI PART", 8)) continue;
        memcpy(&count, header + 80, 4);
        if (count > 4096) return 1;
    }
    return 0;
}

static void partitions(blkid_probe probe) {
    blkid_partlist list = blkid_probe_get_partitions(probe);
    for (int index = 0; list && index < blkid_partlist_numof_partitions(list); index++) {
        blkid_partition one = blkid_partlist_get_partition(list, index);
        if (!one || blkid_partition_is_extended(one)) continue;
        const char *texts[] = {blkid_partition_get_name(one), blkid_partition_get_uuid(one),
                               blkid_partition_get_type_string(one)};
        for (int text = 0; text < 3; text++) if (texts[text] && strlen(texts[text]) > 4096) __builtin_trap();
        blkid_partition_get_start(one);
        blkid_partition_get_size(one);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count) {
    if (count < 3) return 0;
    uint64_t size = sizes[data[0] & 3], sector = data[0] & 4 ? 4096 : 512;
    int tolerates = data[0] & 8, seals = data[0] & 16;
    static int disk = -1;
    if (disk < 0) disk = memfd_create("disk", MFD_CLOEXEC);
    if (ftruncate(disk, 0) || ftruncate(disk, size)) __builtin_trap();
    // A piece: four bytes of its place, in units of 16 bytes and from the end where the highest bit is set; two of its length.
    const uint8_t *rest = data + 1;
    size_t left = count - 1;
    while (left > 6) {
        uint32_t place;
        uint16_t length;
        memcpy(&place, rest, 4);
        memcpy(&length, rest + 4, 2);
        rest += 6, left -= 6;
        size_t taken = length < left ? length : left;
        uint64_t at = (uint64_t)(place & 0x7fffffff) * 16 % size;
        if (place >> 31) at = size - at;
        if (at + taken > size) at = size - taken < size ? size - taken : 0;
        pwrite(disk, rest, taken < size ? taken : size, at);
        rest += taken, left -= taken;
    }
    if (seals) {
        seal(disk, sector, sector);
        seal(disk, sector, size - sector);
    }
    blkid_probe probe = blkid_new_probe();
    if (!probe || blkid_probe_set_device(probe, disk, 0, 0)) __builtin_trap();
    blkid_probe_set_sectorsize(probe, sector);

    static const char *names[] = {"TYPE", "LABEL", "UUID", "VERSION", "SBMAGIC_OFFSET"};
    blkid_probe_enable_superblocks(probe, 1);
    char *unasked[] = {"ocfs", NULL};
    blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_NOTIN, unasked);
    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID
        | BLKID_SUBLKS_VERSION | BLKID_SUBLKS_MAGIC | (tolerates ? BLKID_SUBLKS_BADCSUM : 0));
    blkid_probe_enable_partitions(probe, 0);
    for (int found = 0; found < 1000 && blkid_do_probe(probe) == 0; found++) {
        for (int name = 0; name < 5; name++) {
            const char *text;
            if (blkid_probe_lookup_value(probe, names[name], &text, NULL) == 0 && strlen(text) > 4096) __builtin_trap();
        }
        if (found == 999) __builtin_trap();
    }
    for (int force = 0; force < 2; force++) {
        blkid_reset_probe(probe);
        blkid_probe_enable_superblocks(probe, 0);
        blkid_probe_enable_partitions(probe, 1);
        char *unasked[] = {"gpt", NULL};
        if (claims_too_much(disk, sector, size)) blkid_probe_filter_partitions_type(probe, BLKID_FLTR_NOTIN, unasked);
        blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC | (force ? BLKID_PARTS_FORCE_GPT : 0));
        blkid_do_fullprobe(probe);
        partitions(probe);
    }
    blkid_free_probe(probe);
    return 0;
}
