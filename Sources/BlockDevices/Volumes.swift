// LUKS volumes: looked into before anything is changed, then created and opened.

import CCryptsetup
import CLinux
import DiskFormats
import DiskPlanning
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// A LUKS volume that is open, as the real root needs to know it.
public struct OpenVolume: Sendable {
    /// The name below `/dev/mapper`.
    public var name: String
    /// The UUID in the volume's header.
    public var uuid: String
    /// The passphrase that opens it; `nil` where only Clevis does.
    public var key: SecretBytes?
    /// Whether opening it needs a network.
    public var opensOverNetwork = false
}

/// Opens volumes read-only while the plan is made; they are closed with the value.
final class VolumeLook {
    private let access: DiskAccess
    /// The nodes at which volumes and arrays can be read meanwhile, by the nodes that they will have.
    private(set) var nodes: [String: String]
    private var opened: [String] = []

    /// - Parameters:
    ///   - access: What the stage needs from its caller.
    ///   - nodes: The nodes at which arrays can be read.
    init(_ access: DiskAccess, nodes: [String: String] = [:]) {
        self.access = access
        self.nodes = nodes
    }

    func close() {
        opened.forEach(CryptHandle.deactivate)
        opened = []
    }

    fileprivate static let prefix = "firstlight-look-"

    /// Closes what an interrupted look has left open, but nothing of a look that is still at work.
    static func closeLeftovers() {
        for name in Files.names(in: "/dev/mapper") where name.hasPrefix(prefix) {
            let number = name.dropFirst(prefix.count).split(separator: "-").first.flatMap { pid_t($0) }
            if let number, kill(number, 0) != 0, errno == ESRCH { CryptHandle.deactivate(name) }
        }
    }

    /// The names under which the volume on a device is open, those of looks left out.
    private static func names(ofOpen node: String) -> [String] {
        let name = FilePath(node).lastComponent?.string ?? ""
        return Files.names(in: FilePath("/sys/class/block/\(name)/holders")).compactMap { holder in
            let folder = FilePath("/sys/class/block/\(holder)/dm")
            guard Files.line(folder.appending("uuid"))?.hasPrefix("CRYPT-LUKS") == true else { return nil }
            return Files.line(folder.appending("name")).flatMap { $0.hasPrefix(prefix) ? nil : $0 }
        }
    }

    /// Looks into the volumes that exist and are not to be wiped.
    ///
    /// - Parameters:
    ///   - located: The volumes of the layout.
    ///   - contents: What their areas hold.
    /// - Returns: What is known of each, by its index in `storage.luks`.
    /// - Throws: The failure of a look.
    func volumes(_ located: [LocatedVolume], _ contents: [DiskArea: Content]) throws(BootFailure) -> [Int: FoundVolume]
    {
        var found: [Int: FoundVolume] = [:]
        for volume in located {
            guard let device = CryptHandle.device(ofOpen: volume.wanted.name) else { continue }
            // Before the first write, also where the volume is yet to be made.
            try step("looking for the LUKS volume \(volume.wanted.name)") { try requireSame(device, volume) }
        }
        for volume in located where volume.wanted.wipeVolume != true || access.keys.isKnown(volume.wanted.name) {
            let signatures = contents[volume.area]?.signatures ?? []
            guard signatures.count == 1, signatures[0].type == "crypto_LUKS", signatures[0].version != "1" else {
                continue
            }
            found[volume.entry] = try step("looking into the LUKS volume on \(volume.node)") { try look(volume) }
        }
        return found
    }

    private func look(_ volume: LocatedVolume) throws -> FoundVolume? {
        let area = seen(volume.area)
        let start = try CryptHandle.copy(area, length: 8 << 20)
        let first = try CryptHandle(start.path, of: volume.node)
        if let reason = first.load() {
            var found = FoundVolume(uuid: "")
            found.headerFault =
                reason == .invalidArgument ? .damaged(reason: "\(reason)") : .unreadable(reason: "\(reason)")
            return found
        }
        guard let header = first.header(), header.version == 2 else { return nil }
        if let fault = first.unmetRequirement {
            var found = FoundVolume(uuid: header.uuid)
            found.headerFault = fault
            return found
        }
        var found = FoundVolume(
            uuid: header.uuid, label: header.label ?? "",
            allowsDiscards: first.activationFlags & firstlight_crypt_allow_discards != 0,
            keySlots: first.keySlots)
        found.isOfThisBoot = access.keys.isKnown(volume.wanted.name)
        found.openAs = VolumeLook.names(ofOpen: nodes[volume.node] ?? volume.node).first { $0 != volume.wanted.name }
        // A second map of it would show the kernel its filesystem twice.
        if found.openAs != nil { return found }
        found.bindings = first.tokens.compactMap { FoundBinding(token: $0) }
        guard found.keySlots > 0 else { return found }
        let keys = access.keys
        let proven: ProvenKey?
        if volume.wanted.clevis.isUsed {
            guard let policy = volume.wanted.clevis.policy else { return found }
            // Another binding of the same policy stays behind where a server's keys were rotated.
            let bindings = found.bindings.filter { $0.policy == policy }
            guard !bindings.isEmpty else { return found }
            if try isOpen(volume, header, found) {
                return try opened(volume, at: volume.wanted.mappedNode, first, found)
            }
            proven = try provenKey(of: volume, area, first, header, by: bindings, failure: &found.bindingFailure)
        } else {
            guard let passphrase = try keys.passphrase(of: volume.wanted) else { return found }
            if try isOpen(volume, header, found) {
                return try opened(volume, at: volume.wanted.mappedNode, first, found)
            }
            let proof = VolumeKeys.proof(of: header.uuid, openedBy: passphrase)
            let key = try known(volume, proof, first) ?? derive(volume, area, first, passphrase)
            proven = key.map { ProvenKey(proof: proof, key: $0) }
        }
        guard let proven else {
            found.isOpenedByKey = false
            return found
        }
        found.bindingFailure = nil
        keys.keep(proven, of: volume.wanted.name)
        return try opened(volume, at: try open(volume, proven.key), first, found)
    }

    /// The key that one of the bindings opens; each is asked, the one first whose answer is known already.
    private func provenKey(
        of volume: LocatedVolume, _ area: DiskArea, _ first: borrowing CryptHandle, _ header: LUKSHeader,
        by bindings: [FoundBinding], failure: inout String?
    ) throws -> ProvenKey? {
        let proofs = bindings.map {
            VolumeKeys.proof(of: header.uuid, openedBy: SecretBytes(Array($0.encryptedKey.utf8)))
        }
        for proof in proofs {
            if let known = known(volume, proof, first) { return ProvenKey(proof: proof, key: known) }
        }
        for (binding, proof) in zip(bindings, proofs) {
            let policy = binding.policy.map { "\($0)" } ?? ""
            let wait = Wait(
                for: "the key of the LUKS volume on \(volume.node)", reason: "Clevis asks \(policy)",
                advice: ["Check the tang server and the network on the way, or the TPM"])
            let passphrase: SecretBytes
            do throws(Command.Failure) {
                passphrase = try access.waits.wait(for: wait) { (_) throws(Command.Failure) in
                    try ClevisPrograms.decrypt(binding.encryptedKey, unless: access.waits.isCancelled)
                }
            } catch {
                // A cancelled attempt says nothing about the volume.
                if case .cancelled = error { throw error }
                failure = failure ?? ClevisPrograms.reason(error)
                continue
            }
            if let key = try derive(volume, area, first, passphrase) { return ProvenKey(proof: proof, key: key) }
        }
        return nil
    }

    /// What is known of a volume whose key has opened it, with what is in it.
    private func opened(
        _ volume: LocatedVolume, at node: String, _ header: borrowing CryptHandle, _ found: FoundVolume
    ) throws -> FoundVolume {
        nodes[volume.wanted.mappedNode] = node
        var found = found
        found.isOpenedByKey = true
        found.content = try Look(node).whole
        // Blank bytes read like noise, too. Where all is blank behind the header, nobody has written into the volume.
        let area = seen(volume.area)
        let start = min(area.bytes.lowerBound + min(header.dataOffset, 1 << 60), area.bytes.upperBound)
        if found.content.kind == .noise {
            let data = try Look(area.node, bytes: start..<area.bytes.upperBound).whole
            if data.kind == .blank { found.content = .blank }
        }
        return found
    }

    /// Whether an earlier run of the stage has opened the volume of this header, which then needs no other proof.
    private func isOpen(_ volume: LocatedVolume, _ header: LUKSHeader, _ found: FoundVolume) throws -> Bool {
        guard found.isOfThisBoot, let device = CryptHandle.device(ofOpen: volume.wanted.name) else { return false }
        try requireSame(device, volume)
        let node = DiskProber.node(volume.wanted.mappedNode).flatMap { FilePath($0).lastComponent?.string } ?? ""
        let id = Files.line(FilePath("/sys/class/block/\(node)/dm/uuid")) ?? ""
        return id.hasPrefix("CRYPT-LUKS2-\(header.uuid.filter { $0 != "-" })-")
    }

    /// The key of a volume's data, where an earlier look has derived it from the same.
    private func known(
        _ volume: LocatedVolume, _ proof: [UInt8], _ header: borrowing CryptHandle
    ) -> SecretBytes? {
        guard let known = access.keys.provenKey(of: volume.wanted.name), known.proof == proof,
            header.isVolumeKey(known.key)
        else { return nil }
        return known.key
    }

    /// Derives the key of a volume's data; `nil` where the passphrase opens no slot.
    ///
    /// This takes seconds and much RAM. So it runs one at a time, and leaves the room that the root image still needs.
    private func derive(
        _ volume: LocatedVolume, _ area: DiskArea, _ header: borrowing CryptHandle, _ passphrase: SecretBytes
    ) throws -> SecretBytes? {
        // The key slots are behind the headers.
        let copied = min(header.dataOffset, 128 << 20)
        let needed = header.derivationMemory + copied
        return try access.besideImage { reserved in
            try DiskFailure.requireMemory(needed, besides: reserved, toOpen: volume.node)
            let whole = try CryptHandle.copy(area, length: copied)
            let handle = try CryptHandle(whole.path, of: volume.node)
            if let reason = handle.load() { throw notOpened(volume, reason) }
            return try handle.volumeKey(passphrase)
        }
    }

    private func open(_ volume: LocatedVolume, _ key: SecretBytes) throws -> String {
        if let device = CryptHandle.device(ofOpen: volume.wanted.name) {
            try requireSame(device, volume)
            return volume.wanted.mappedNode
        }
        let name = "\(Self.prefix)\(getpid())-\(volume.entry)"
        try? access.loadFilesystem("loop")
        try? access.loadFilesystem("dm_crypt")
        // The loop device is read-only, so that libcryptsetup cannot repair anything.
        let area = seen(volume.area)
        let loop = try LoopDevice(
            file: FilePath(area.node), offset: area.bytes.lowerBound,
            size: area.bytes.upperBound - area.bytes.lowerBound, readOnly: true)
        let handle = try CryptHandle(loop.path.string, of: volume.node)
        if let reason = handle.load() { throw notOpened(volume, reason) }
        do throws(DiskFailure) {
            try handle.activate(
                name, volumeKey: key, flags: firstlight_crypt_readonly | firstlight_crypt_private)
        } catch {
            // The name of the look is nobody's business.
            guard case .volumeNotOpened(_, _, let reason) = error else { throw error }
            throw notOpened(volume, reason)
        }
        opened.append(name)
        return "/dev/mapper/\(name)"
    }

    private func notOpened(_ volume: LocatedVolume, _ reason: Errno) -> DiskFailure {
        .volumeNotOpened(name: volume.wanted.name, volume.node, reason)
    }

    private func seen(_ area: DiskArea) -> DiskArea {
        nodes[area.node].map { DiskArea(node: $0, bytes: area.bytes) } ?? area
    }

    private func requireSame(_ device: String, _ volume: LocatedVolume) throws(DiskFailure) {
        guard Files.resolved(FilePath(device)) == Files.resolved(FilePath(nodes[volume.node] ?? volume.node)) else {
            throw .nameTaken(volume.wanted.name, by: device)
        }
    }
}

extension DiskFailure {
    /// Refuses to derive a key for which the memory does not suffice, since that would end the boot.
    ///
    /// - Parameters:
    ///   - needed: Bytes that it takes.
    ///   - reserved: Bytes that others will need meanwhile.
    ///   - device: The volume.
    /// - Throws: ``DiskFailure/derivationTooLarge(_:needed:available:)``.
    fileprivate static func requireMemory(
        _ needed: UInt64, besides reserved: UInt64 = 0, toOpen device: String
    ) throws(DiskFailure) {
        guard let free = Machine.memory("MemAvailable") else { return }
        let available = free - min(free, reserved)
        guard needed > available else { return }
        throw .derivationTooLarge(device, needed: needed, available: available)
    }
}

extension CryptHandle {
    fileprivate static func copy(_ area: DiskArea, length: UInt64) throws(DiskFailure) -> HeaderCopy {
        try HeaderCopy(area.node, bytes: area.bytes, length: length)
    }
}

extension DiskStage {
    /// Creates a volume where the plan says so, and opens it.
    static func prepare(_ plan: VolumePlan, _ access: DiskAccess) throws {
        let name = plan.wanted.name
        try access.waitForDevice(plan.node)
        try? access.loadFilesystem("dm_crypt")
        if plan.action == .create {
            try clear(plan.node, plan.area, found: plan.found, announcing: "LUKS2 \"\(name)\" on \(plan.node)", access)
        } else if CryptHandle.device(ofOpen: name) != nil {
            // The plan has made sure that the open volume is this one.
            return try access.volumeOpened(try openVolume(plan, access))
        }
        let key = plan.action == .create ? try create(plan, access) : access.keys.provenKey(of: name)?.key
        let handle = try CryptHandle(plan.node)
        guard let key else { throw DiskFailure.keyForgotten(name: name, plan.node) }
        if let reason = handle.load() { throw DiskFailure.volumeNotOpened(name: name, plan.node, reason) }
        // Flags that the config has been given since are in force as well; the header keeps its own.
        try handle.activate(name, volumeKey: key, flags: plan.options.activationFlags)
        if plan.action == .keep { try access.volumeOpened(try openVolume(plan, access)) }
        try access.devicesChanged([plan.wanted.mappedNode])
        access.report(
            .done("LUKS2 \"\(name)\" \(plan.action == .create ? "created" : "opened") on \(plan.node)"))
    }

    /// Creates a volume.
    ///
    /// - Returns: The volume key.
    private static func create(_ plan: VolumePlan, _ access: DiskAccess) throws -> SecretBytes {
        let keys = access.keys
        let passphrase =
            plan.wanted.clevis.isUsed
            ? try keys.passphrase(of: plan.wanted) : try keys.passphraseForNew(plan.wanted)
        // A machine that boots from RAM also has its root there, and has to open this volume at the next boot.
        let available = Machine.memory("MemAvailable") ?? 1 << 30
        let topology = try BlockFile(plan.node).topology
        let header = try HeaderCopy(plan.node, length: 0)
        let draft = try CryptHandle(header.path, of: plan.node)
        let key = try draft.format(
            plan.options, label: plan.wanted.label, uuid: plan.wanted.uuid, passphrase: passphrase,
            binding: keys.binding(of: plan.wanted.name), memoryLimit: UInt32(clamping: max(32 << 10, available / 4096)),
            sectorSize: topology.encryptedSector(size: header.size), alignment: topology.alignment)
        try access.volumeOpened(plan.opened(uuid: draft.uuid, key: passphrase))
        try zeroInside(plan, header, key)
        try header.write(to: plan.node, length: draft.dataOffset, second: draft.secondHeader)
        return key
    }

    /// Zeroes the first MiB of what a new volume will show, before its header is on the disk.
    ///
    /// All of it would read like noise, and at the next boot nobody could tell that from what somebody encrypted.
    private static func zeroInside(
        _ plan: VolumePlan, _ header: borrowing HeaderCopy, _ key: SecretBytes
    ) throws(DiskFailure) {
        let name = "\(VolumeLook.prefix)\(getpid())-new-\(plan.entry)"
        let handle = try CryptHandle(header.path, of: plan.node, data: plan.node)
        if let reason = handle.load() { throw .volumeNotCreated(plan.node, reason) }
        try handle.activate(name, volumeKey: key, flags: firstlight_crypt_private)
        defer { CryptHandle.deactivate(name) }
        let inside = "/dev/mapper/\(name)"
        let size = try BlockFile(inside).size
        try Eraser.zero(DiskArea(node: inside, bytes: 0..<min(size, 1 << 20)))
    }

    private static func openVolume(_ plan: VolumePlan, _ access: DiskAccess) throws -> OpenVolume {
        let uuid = try LUKSHeader.read(plan.node)?.uuid ?? ""
        let isBound = plan.wanted.clevis.isUsed
        return plan.opened(uuid: uuid, key: isBound ? nil : try access.keys.passphraseForNew(plan.wanted))
    }

    /// Checks before the first write that no volume needs more memory than there is.
    ///
    /// Where the config does not set the memory, a share of what is free is used, so there is nothing to check.
    static func requireMemory(for volumes: [VolumePlan]) throws(BootFailure) {
        for volume in volumes where volume.action == .create {
            guard let wanted = volume.options.memory else { continue }
            try step("preparing the LUKS volume \(volume.wanted.name)") {
                try DiskFailure.requireMemory(UInt64(clamping: wanted) << 10, toOpen: volume.node)
            }
        }
    }

    /// Fetches the keys of new volumes, before the first write: a server may be gone, or the key be another.
    public static func fetchKeys(for plan: StoragePlan, _ access: DiskAccess) throws(BootFailure) {
        for volume in plan.volumes where volume.action == .create && volume.wanted.givesKey {
            try step("fetching the key of the LUKS volume \(volume.wanted.name)") {
                _ = try access.keys.passphrase(of: volume.wanted)
            }
        }
    }

    /// Gives Clevis every key that it is to keep, and gets it back, before the first write.
    static func bind(_ volumes: [VolumePlan], _ access: DiskAccess) throws(BootFailure) {
        for volume in volumes where volume.action == .create && volume.wanted.clevis.isUsed {
            try step("binding the LUKS volume \(volume.wanted.name)") {
                let policy = volume.wanted.clevis.policy.map { "\($0)" } ?? volume.wanted.clevis.pin
                let wait = Wait(
                    for: "a key for the LUKS volume \(volume.wanted.name)", reason: "Clevis asks \(policy)",
                    advice: ["Check the tang server and the network on the way, or the TPM"])
                let binding = try access.waits.wait(for: wait) { _ in
                    try ClevisPrograms.bind(volume.wanted.clevis, access.keys, unless: access.waits.isCancelled)
                }
                access.keys.keep(binding, of: volume.wanted.name)
            }
        }
    }
}

extension VolumePlan {
    fileprivate func opened(uuid: String, key: SecretBytes?) -> OpenVolume {
        let isBound = wanted.clevis.isUsed
        return OpenVolume(
            name: wanted.name, uuid: uuid, key: isBound ? nil : key,
            opensOverNetwork: isBound && wanted.clevis.opensOverNetwork)
    }
}
