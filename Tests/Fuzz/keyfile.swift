// Any text as a NetworkManager keyfile: what is read is written and read again, and no error quotes a line.

@testable import NetworkPlanning

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: data, count: count), as: UTF8.self)
    do throws(NetworkKeyfile.Failure) {
        let keyfile = try NetworkKeyfile(text, file: "a.nmconnection")
        let written = keyfile.profile.keyfile(id: "again")
        guard let again = try? NetworkKeyfile(written, file: "a.nmconnection") else {
            preconditionFailure("what was written cannot be read")
        }
        precondition(Set(again.profile.addresses) == Set(keyfile.profile.addresses), "other addresses")
        precondition(again.profile.mtu == keyfile.profile.mtu)
    } catch {
        if case .malformed = error { precondition("\(error)".utf8.count < 80, "a line is quoted") }
        _ = error.advice
    }
    return 0
}
