// VMware's messages from a guest to its hypervisor, and the variables that they read and set.

import CLinux
import Encoding
import Reporting
import SystemPackage

/// Calls the hypervisor with these registers, which then have its answer.
typealias Backdoor = (inout firstlight_backdoor_registers) throws(Errno) -> Void

/// Calls this machine's hypervisor; throws `ENODEV` if that is not VMware's.
func machineBackdoor(_ registers: inout firstlight_backdoor_registers) throws(Errno) {
    let result = firstlight_backdoor(&registers)
    if result < 0 { throw Errno(rawValue: -result) }
}

extension GuestInformation.Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .notVMware: "this machine's hypervisor is not VMware's"
        case .refused(let what): "VMware's hypervisor refused \(what)"
        }
    }
}

extension GuestInformation.Fault: Advising {
    var advice: [String] {
        switch self {
        case .notVMware: ["ignition.platform.id=vmware is for VMware; use ignition.platform.id=metal elsewhere."]
        case .refused: ["Check that the host lets its guests read guestinfo."]
        }
    }
}

/// The variables `guestinfo.*` of a virtual machine.
///
/// Each request uses its own channel: it is opened, a message is sent, the answer is received, and it is closed. Four
/// bytes are passed at a time, which works with every version of the hypervisor.
/// - SeeAlso: `drivers/gpu/drm/vmwgfx/vmwgfx_msg.c` in Linux.
struct GuestInformation {
    enum Fault: Error, Equatable {
        case notVMware
        /// The hypervisor refused this step.
        case refused(String)
    }

    private enum Step: UInt32 { case open, sendSize, send, receiveSize, receive, received, close }

    private struct Channel {
        var id: UInt32 = 0
        var cookies: (UInt32, UInt32) = (0, 0)
    }

    private static let magic: UInt32 = 0x564d_5868
    private static let protocolNumber: UInt32 = 0x4943_5052  // "RPCI"
    private static let wantsCookies: UInt32 = 1 << 31
    private static let message: UInt32 = 0x1e
    private static let success: UInt32 = 1
    private static let hasAnswer: UInt32 = 2
    /// The virtual machine was moved or saved meanwhile, so everything has to be repeated.
    private static let checkpoint: UInt32 = 0x10

    var backdoor: Backdoor = machineBackdoor

    /// A variable's value; `nil` if there is no variable of that name.
    func value(of name: String) throws(Fault) -> [UInt8]? {
        let answer = try ask("info-get guestinfo.\(name)")
        // The answer is "1 VALUE", or "0 REASON" if there is no such variable.
        return answer.starts(with: Array("1 ".utf8)) ? Array(answer.dropFirst(2)) : nil
    }

    func set(_ name: String, to value: String) throws(Fault) {
        let answer = try ask("info-set guestinfo.\(name) \(value)")
        if answer.first != UInt8(ascii: "1") { throw .refused("setting guestinfo.\(name)") }
    }

    private func ask(_ question: String) throws(Fault) -> [UInt8] {
        for _ in 0..<3 {
            if let answer = try exchange(Array(question.utf8)) { return answer }
        }
        throw .refused("an undisturbed exchange")
    }

    /// Sends a question and returns the answer; `nil` if the exchange was disturbed.
    private func exchange(_ question: [UInt8]) throws(Fault) -> [UInt8]? {
        var channel = Channel()
        var opened = try call(.open, Self.protocolNumber | Self.wantsCookies, channel)
        guard opened.status & Self.success != 0 else { throw .refused("opening a channel") }
        channel = Channel(id: opened.registers.edx >> 16, cookies: (opened.registers.esi, opened.registers.edi))
        defer { _ = try? call(.close, 0, channel) }

        opened = try call(.sendSize, UInt32(question.count), channel)
        guard opened.status & Self.success != 0 else { return try disturbed(opened.status, "a question") }
        for start in stride(from: 0, to: question.count, by: 4) {
            let word = ByteFields(Array(question[start...].prefix(4))).little32(0)
            let sent = try call(.send, word, channel)
            guard sent.status & Self.success != 0 else { return try disturbed(sent.status, "a question") }
        }

        let size = try call(.receiveSize, 0, channel)
        guard size.status & Self.success != 0, size.kind == Step.sendSize.rawValue else {
            return try disturbed(size.status, "an answer")
        }
        guard size.status & Self.hasAnswer != 0 else { return [] }
        var left = size.registers.ebx
        var answer: [UInt8] = []
        while left > 0 {
            let part = try call(.receive, Self.success, channel)
            guard part.status & Self.success != 0, part.kind == Step.send.rawValue else {
                return try disturbed(part.status, "an answer")
            }
            let word = part.registers.ebx
            for shift in 0..<min(left, 4) { answer.append(UInt8(truncatingIfNeeded: word >> (8 * shift))) }
            left -= min(left, 4)
        }
        let received = try call(.received, Self.success, channel)
        return received.status & Self.success != 0 ? answer : try disturbed(received.status, "an answer")
    }

    private func disturbed(_ status: UInt32, _ what: String) throws(Fault) -> [UInt8]? {
        if status & Self.checkpoint == 0 { throw .refused(what) }
        return nil
    }

    private struct Answer {
        var registers: firstlight_backdoor_registers
        var status: UInt32 { registers.ecx >> 16 }
        var kind: UInt32 { registers.edx >> 16 }
    }

    private func call(_ step: Step, _ value: UInt32, _ channel: Channel) throws(Fault) -> Answer {
        var registers = firstlight_backdoor_registers(
            eax: Self.magic, ebx: value, ecx: step.rawValue << 16 | Self.message, edx: channel.id << 16,
            esi: channel.cookies.0, edi: channel.cookies.1)
        do { try backdoor(&registers) } catch { throw .notVMware }
        return Answer(registers: registers)
    }
}
