// Any text as a token of a LUKS header, and as a pin's configuration.

@testable import DiskPlanning
@testable import JSONText

private let pins = ["tang", "tpm2", "sss", "other"]

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    let text = String(decoding: bytes, as: UTF8.self)
    if let binding = FoundBinding(token: text) {
        precondition(binding.encryptedKey.split(separator: ".", omittingEmptySubsequences: false).count >= 5)
        let again = FoundBinding(token: FoundBinding.token(binding.encryptedKey))
        // A part may hold dots of its own: those end it.
        if binding.encryptedKey.filter({ $0 == "." }).count == 4 { precondition(again == binding, "another binding") }
        _ = binding.policy.map { "\($0)" }
    }
    if let node = try? JSONNode(parsing: bytes) {
        for pin in pins { _ = ClevisPolicy(pin: pin, config: node).map { "\($0)" } }
    }
    // The protected header itself, which nobody finds in base64.
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var (encoded, bits, held): ([UInt8], UInt32, Int) = ([], 0, 0)
    for byte in bytes {
        (bits, held) = (bits << 8 | UInt32(byte), held + 8)
        while held >= 6 {
            held -= 6
            encoded.append(digits[Int(bits >> UInt32(held) & 63)])
        }
    }
    if held > 0 { encoded.append(digits[Int(bits << UInt32(6 - held) & 63)]) }
    _ = ClevisPolicy(protected: String(decoding: encoded, as: UTF8.self)).map { "\($0)" }
    return 0
}
