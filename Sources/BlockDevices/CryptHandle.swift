// libcryptsetup's contexts, and copies of headers that are read in place of the disks' own.

import CCryptsetup
import CLinux
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// The start of a device, or of a range of one, in an anonymous file.
///
/// libcryptsetup repairs a header with a damaged copy as soon as it reads it; code that must not write uses this.
struct HeaderCopy: ~Copyable {
    let descriptor: Int32
    /// Bytes of the range.
    let size: UInt64
    var path: String { "/proc/self/fd/\(descriptor)" }

    /// Copies the start of a range.
    ///
    /// - Parameters:
    ///   - path: A block device or an image file.
    ///   - bytes: The range; `nil` is the whole device.
    ///   - length: Bytes to copy; both headers with their JSON areas are within the first 8 MiB.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    init(_ path: String, bytes: Range<UInt64>? = nil, length: UInt64 = 8 << 20) throws(DiskFailure) {
        let source = try BlockFile(path)
        let bytes = bytes ?? 0..<source.size
        let size = bytes.upperBound - bytes.lowerBound
        let descriptor = firstlight_memory_file("luks")
        guard descriptor >= 0 else { throw .unreadable(path, Errno(rawValue: -descriptor)) }
        var isWhole = ftruncate(descriptor, off_t(clamping: size)) == 0
        var position: UInt64 = 0
        while isWhole, position < min(size, length) {
            let part = Int(min(1 << 20, min(size, length) - position))
            let block = source.read(at: bytes.lowerBound + position, count: part) ?? []
            isWhole = block.count == part && pwrite(descriptor, block, part, off_t(position)) == part
            position += UInt64(part)
        }
        guard isWhole else {
            close(descriptor)
            throw .unreadable(path, .ioError)
        }
        self.descriptor = descriptor
        self.size = size
    }

    deinit { close(descriptor) }
}

/// One libcryptsetup context, freed with the value.
struct CryptHandle: ~Copyable {
    private let handle: OpaquePointer
    /// The device's name in messages.
    private let device: String

    /// Makes a context.
    ///
    /// - Parameters:
    ///   - path: The device, or a copy of its header.
    ///   - device: The device's name in messages, where that is another.
    ///   - data: The device of the data, where `path` has only the header.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    init(_ path: String, of device: String? = nil, data: String? = nil) throws(DiskFailure) {
        // Only this program sees the file, so there is nothing to lock, and an initramfs has no folder for locks.
        crypt_metadata_locking(nil, 0)
        var handle: OpaquePointer?
        let result = data.map { crypt_init_data_device(&handle, path, $0) } ?? crypt_init(&handle, path)
        self.device = device ?? path
        guard result == 0, let handle else {
            throw .unreadable(self.device, Errno(rawValue: result < 0 ? -result : ENOMEM))
        }
        // "No LUKS device" is an answer here, not an event for the log.
        crypt_set_log_callback(handle, { _, _, _ in }, nil)
        // Neither is a map that udev still holds, which libdevmapper reports without a handle.
        crypt_set_log_callback(nil, { _, _, _ in }, nil)
        self.handle = handle
    }

    deinit { crypt_free(handle) }

    /// Reads the header.
    ///
    /// - Returns: Why libcryptsetup does not accept what is there; `nil` where it does.
    func load() -> Errno? {
        let result = crypt_load(handle, nil, nil)
        return result == 0 ? nil : Errno(rawValue: -result)
    }

    func header() -> LUKSHeader? {
        guard let type = crypt_get_type(handle).map({ String(cString: $0) }),
            let uuid = crypt_get_uuid(handle).map({ String(cString: $0) })
        else { return nil }
        let label = crypt_get_label(handle).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        switch type {
        case "LUKS1": return LUKSHeader(version: 1, uuid: uuid, label: nil)
        case "LUKS2": return LUKSHeader(version: 2, uuid: uuid, label: label)
        default: return nil
        }
    }

    var uuid: String { crypt_get_uuid(handle).map { String(cString: $0) } ?? "" }

    /// Bytes before the encrypted data: the headers and the key slots.
    var dataOffset: UInt64 {
        let (bytes, overflow) = crypt_get_data_offset(handle).multipliedReportingOverflow(by: 512)
        return overflow ? .max : bytes
    }

    var activationFlags: UInt32 {
        var flags: UInt32 = 0
        return crypt_persistent_flags_get(handle, CRYPT_FLAGS_ACTIVATION, &flags) == 0 ? flags : 0
    }

    /// What stands in the way of opening it, whatever the key.
    var unmetRequirement: FoundVolume.HeaderFault? {
        var flags: UInt32 = 0
        guard crypt_persistent_flags_get(handle, CRYPT_FLAGS_REQUIREMENTS, &flags) == 0, flags != 0 else { return nil }
        // CRYPT_REQUIREMENT_OFFLINE_REENCRYPT and CRYPT_REQUIREMENT_ONLINE_REENCRYPT
        return flags & 3 != 0 ? .reencryption : .unknownRequirement
    }

    /// How many slots hold a key.
    var keySlots: Int {
        (0..<crypt_keyslot_max(CRYPT_LUKS2)).count { slot in
            [CRYPT_SLOT_ACTIVE, CRYPT_SLOT_ACTIVE_LAST].contains(crypt_keyslot_status(handle, slot))
        }
    }

    /// The memory in bytes that deriving a key may take: the largest of all slots.
    var derivationMemory: UInt64 {
        let sizes = (0..<crypt_keyslot_max(CRYPT_LUKS2)).compactMap { slot -> UInt64? in
            var derivation = crypt_pbkdf_type()
            guard crypt_keyslot_get_pbkdf(handle, slot, &derivation) == 0 else { return nil }
            return UInt64(derivation.max_memory_kb) * 1024
        }
        return sizes.max() ?? 0
    }

    /// The tokens in the header, in JSON.
    var tokens: [String] {
        (0..<crypt_token_max(CRYPT_LUKS2)).compactMap { number in
            var text: UnsafePointer<CChar>?
            guard crypt_token_json_get(handle, number, &text) >= 0, let text else { return nil }
            return String(cString: text)
        }
    }

    /// The offset of the header's second copy.
    var secondHeader: UInt64 {
        var (metadata, keySlots): (UInt64, UInt64) = (0, 0)
        return crypt_get_metadata_size(handle, &metadata, &keySlots) == 0 ? metadata : 0
    }

    /// The volume key; `nil` where `passphrase` opens no slot.
    func volumeKey(_ passphrase: SecretBytes) throws(DiskFailure) -> SecretBytes? {
        var size = Int(crypt_get_volume_key_size(handle))
        // The size comes from the header; no cipher of the kernel has a key as long as this limit.
        guard (1...8192).contains(size) else { throw .unreadable(device, .invalidArgument) }
        let key = SecretBytes(count: size)
        // Deriving is quicker with them.
        let hadHugePages = firstlight_use_huge_pages(true)
        defer { _ = firstlight_use_huge_pages(hadHugePages) }
        let result = key.withBytes { key in
            passphrase.withBytes { passphrase in
                crypt_volume_key_get(
                    handle, CRYPT_ANY_SLOT, key.baseAddress?.assumingMemoryBound(to: CChar.self), &size,
                    passphrase.baseAddress?.assumingMemoryBound(to: CChar.self), passphrase.count)
            }
        }
        if result >= 0 { return key }
        // EPERM: no slot matches. ENOENT: there are no slots.
        guard result == -EPERM || result == -ENOENT else { throw .unreadable(device, Errno(rawValue: -result)) }
        return nil
    }

    /// Whether this is the key of the volume's data, by the digest in the header.
    func isVolumeKey(_ key: SecretBytes) -> Bool {
        key.withBytes { key in
            crypt_volume_key_verify(handle, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count) >= 0
        }
    }

    /// Opens the volume below `/dev/mapper`.
    func activate(_ name: String, volumeKey: SecretBytes, flags: UInt32 = 0) throws(DiskFailure) {
        let result = volumeKey.withBytes { key in
            crypt_activate_by_volume_key(
                handle, name, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, flags)
        }
        if result < 0 { throw .volumeNotOpened(name: name, device, Errno(rawValue: -result)) }
    }

    /// Writes a new LUKS2 header with its keys.
    ///
    /// - Parameters:
    ///   - wanted: The config's options.
    ///   - label: The label; `nil` for none.
    ///   - uuid: The UUID; `nil` for a random one.
    ///   - passphrase: The key that the config gives or that was generated.
    ///   - binding: The passphrase that Clevis keeps, and its token, which is written before the passphrase's slot.
    ///   - memoryLimit: KiB that deriving a key from the passphrase may take, now and at every later opening.
    ///   - sectorSize: Bytes that are encrypted at a time, if the config does not say.
    ///   - alignment: Of the data, in sectors of 512 bytes, if the config does not say.
    /// - Returns: The volume key.
    /// - Throws: ``DiskFailure/volumeNotCreated(_:_:)``.
    func format(
        _ wanted: VolumeOptions, label: String?, uuid: String?, passphrase: SecretBytes?, binding: VolumeBinding?,
        memoryLimit: UInt32, sectorSize: UInt32, alignment: Int
    ) throws(DiskFailure) -> SecretBytes {
        var texts: [UnsafeMutablePointer<CChar>?] = []
        defer { texts.forEach { free($0) } }
        let hadHugePages = firstlight_use_huge_pages(true)
        defer { _ = firstlight_use_huge_pages(hadHugePages) }
        func text(_ value: String?) -> UnsafePointer<CChar>? {
            guard let value, !value.isEmpty else { return nil }
            texts.append(strdup(value))
            return UnsafePointer(texts.last ?? nil)
        }
        let usual = crypt_get_pbkdf_default(CRYPT_LUKS2)?.pointee ?? crypt_pbkdf_type()
        var derivation = usual
        derivation.type = text(wanted.keyDerivation) ?? usual.type
        derivation.hash = text(wanted.hash) ?? usual.hash
        derivation.time_ms = UInt32(wanted.iterationTime ?? Int(usual.time_ms))
        if wanted.keyDerivation == "pbkdf2" {
            derivation.max_memory_kb = 0
            derivation.parallel_threads = 0
        } else {
            derivation.max_memory_kb = UInt32(wanted.memory ?? Int(min(usual.max_memory_kb, memoryLimit)))
            derivation.parallel_threads = UInt32(wanted.threads ?? Int(usual.parallel_threads))
        }
        if let iterations = wanted.iterations {
            derivation.iterations = UInt32(iterations)
            derivation.flags |= firstlight_crypt_no_benchmark
        }
        let key = SecretBytes(count: wanted.volumeKeySize / 8)
        var size = key.count
        var result = withUnsafePointer(to: derivation) { derivation in
            var parameters = crypt_params_luks2()
            parameters.pbkdf = derivation
            parameters.data_alignment = wanted.alignment ?? alignment
            parameters.sector_size = wanted.sectorSize.map { UInt32($0) } ?? sectorSize
            parameters.label = text(label)
            parameters.subsystem = text(wanted.subsystem)
            if wanted.metadataSize != nil || wanted.keySlotsSize != nil {
                crypt_set_metadata_size(
                    handle, UInt64(wanted.metadataSize ?? 0), UInt64(wanted.keySlotsSize ?? 0))
            }
            return crypt_format(
                handle, CRYPT_LUKS2, text(wanted.cipher), text(wanted.mode), text(uuid), nil, key.count, &parameters)
        }
        if result < 0 { throw .volumeNotCreated(device, Errno(rawValue: -result)) }
        if let binding {
            result = crypt_token_json_set(handle, CRYPT_ANY_TOKEN, binding.token)
            if result < 0 { throw .volumeNotCreated(device, Errno(rawValue: -result)) }
            let token = result
            // After the config's own key, where Ignition puts it. The passphrase is random, so one derivation is as
            // good as many.
            var quick = crypt_pbkdf_type()
            (quick.type, quick.hash, quick.iterations) = (text("pbkdf2"), text("sha256"), 1000)
            quick.flags = firstlight_crypt_no_benchmark
            result = crypt_set_pbkdf_type(handle, &quick)
            if result >= 0 { result = add(binding.passphrase, slot: wanted.keySlot == 1 ? 2 : 1) }
            if result >= 0 { result = crypt_token_assign_keyslot(handle, token, result) }
            if result >= 0 { result = crypt_set_pbkdf_type(handle, &derivation) }
            if result < 0 { throw .volumeNotCreated(device, Errno(rawValue: -result)) }
        }
        if let passphrase { result = add(passphrase, slot: Int32(wanted.keySlot ?? Int(CRYPT_ANY_SLOT))) }
        if result >= 0, let opener = passphrase ?? binding?.passphrase {
            result = key.withBytes { key in
                opener.withBytes { passphrase in
                    crypt_volume_key_get(
                        handle, CRYPT_ANY_SLOT, key.baseAddress?.assumingMemoryBound(to: CChar.self), &size,
                        passphrase.baseAddress?.assumingMemoryBound(to: CChar.self), passphrase.count)
                }
            }
        }
        if result >= 0, !wanted.activation.isEmpty {
            result = crypt_persistent_flags_set(handle, CRYPT_FLAGS_ACTIVATION, wanted.activationFlags)
        }
        if result < 0 { throw .volumeNotCreated(device, Errno(rawValue: -result)) }
        return key
    }

    private func add(_ passphrase: SecretBytes, slot: Int32) -> Int32 {
        passphrase.withBytes { passphrase in
            crypt_keyslot_add_by_volume_key(
                handle, slot, nil, 0, passphrase.baseAddress?.assumingMemoryBound(to: CChar.self), passphrase.count)
        }
    }

    /// The device of an opened volume; `nil` where no volume of that name is open.
    static func device(ofOpen name: String) -> String? {
        // That none is open is an answer, not an event for the log.
        crypt_set_log_callback(nil, { _, _, _ in }, nil)
        var handle: OpaquePointer?
        guard crypt_init_by_name(&handle, name) == 0, let handle else { return nil }
        defer { crypt_free(handle) }
        return crypt_get_device_name(handle).map { String(cString: $0) }
    }

    static func deactivate(_ name: String) { crypt_deactivate(nil, name) }
}

extension VolumeOptions {
    var activationFlags: UInt32 { activation.reduce(0) { $0 | $1.flag } }
}

extension VolumeOptions.Activation {
    fileprivate var flag: UInt32 {
        switch self {
        case .allowDiscards: firstlight_crypt_allow_discards
        case .sameProcessor: firstlight_crypt_same_cpu
        case .submitFromProcessors: firstlight_crypt_submit_from_cpus
        case .noReadWorkqueue: firstlight_crypt_no_read_workqueue
        case .noWriteWorkqueue: firstlight_crypt_no_write_workqueue
        }
    }
}
