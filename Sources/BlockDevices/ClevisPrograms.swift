// The programs of Clevis: they bind a passphrase to a pin, and give it back.

import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage

/// A passphrase that opens a volume, and the token by which Clevis gets it back.
struct VolumeBinding: Sendable {
    var passphrase: SecretBytes
    /// JSON, as it is in a LUKS2 header.
    var token: String
}

/// Clevis returned another passphrase than it was given.
struct BindingNotProven: Error, CustomStringConvertible {
    var policy: String

    var description: String { "Clevis does not give back the key that it bound to \(policy)" }
}

enum ClevisPrograms {
    /// Binds a new passphrase to what the config says; nothing is written to any disk.
    static func bind(
        _ wanted: IgnitionConfig.Clevis, _ keys: VolumeKeys, unless isCancelled: () -> Bool
    ) throws -> VolumeBinding {
        for server in wanted.tang where (server.advertisement ?? "").isEmpty {
            // This fetch is as patient as all others; the one that clevis itself makes is not.
            try keys.ask(server.url + "/adv")
        }
        // Digits only, because a shell script reads it back.
        let passphrase = SecretBytes.randomDigits(bytes: 32)
        let encrypted = try Command("clevis", ["encrypt", wanted.pin, wanted.pinConfig ?? ""]).run(
            secret: passphrase, unless: isCancelled)
        let text = encrypted.withBytes { String(decoding: $0, as: UTF8.self) }.filter { !$0.isWhitespace }
        if wanted.isProvable {
            let back = try decrypt(text, unless: isCancelled)
            guard back.hasSameBytes(as: passphrase) else {
                throw BindingNotProven(policy: wanted.policy.map { "\($0)" } ?? wanted.pin)
            }
        }
        return VolumeBinding(passphrase: passphrase, token: FoundBinding.token(text))
    }

    /// Gets a passphrase back from Clevis.
    ///
    /// - Parameters:
    ///   - encryptedKey: In JWE's compact form.
    ///   - isCancelled: Whether nobody needs it any more.
    /// - Returns: The passphrase.
    /// - Throws: What the program says, where the pin does not open it.
    static func decrypt(
        _ encryptedKey: String, unless isCancelled: () -> Bool
    ) throws(Command.Failure) -> SecretBytes {
        try Command("clevis", ["decrypt"]).run(secret: SecretBytes(Array(encryptedKey.utf8)), unless: isCancelled)
    }

    static func reason(_ failure: Command.Failure) -> String {
        if case .failed(_, _, let said) = failure, !said.isEmpty { return said }
        return "\(failure)"
    }
}
