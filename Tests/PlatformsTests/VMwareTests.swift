import BootArguments
import CLinux
import LinuxSystem
import SystemPackage
import Testing

@testable import Platforms

/// VMware's side of the port: one channel at a time, variables in a dictionary.
private final class Hypervisor {
    var variables: [String: String]
    /// Disturbs the first exchange, as moving the machine to another host does.
    var disturbs = false
    private var question: [UInt8] = []
    private var left = 0
    private var answer: [UInt8] = []
    private let cookies: (UInt32, UInt32) = (0xdead, 0xbeef)
    private(set) var open = 0

    init(_ variables: [String: String]) { self.variables = variables }

    func call(_ r: inout firstlight_backdoor_registers) {
        #expect(r.eax == 0x564d_5868 && r.ecx & 0xffff == 0x1e)
        let step = r.ecx >> 16
        if step != 0 { #expect(r.edx >> 16 == 3 && (r.esi, r.edi) == cookies) }
        func succeed(_ more: UInt32 = 0) { r.ecx = (1 | more) << 16 }
        switch step {
        case 0:
            #expect(r.ebx == 0x4943_5052 | 1 << 31)
            open += 1
            (question, answer) = ([], [])
            (r.edx, r.esi, r.edi) = (3 << 16, cookies.0, cookies.1)
            succeed()
        case 1:
            left = Int(r.ebx)
            succeed()
        case 2:
            if disturbs {
                disturbs = false
                r.ecx = 0x10 << 16
                return
            }
            for shift in 0..<UInt32(min(left, 4)) { question.append(UInt8(truncatingIfNeeded: r.ebx >> (8 * shift))) }
            left -= min(left, 4)
            succeed()
        case 3:
            #expect(left == 0)
            answer = Array(reply(to: String(decoding: question, as: UTF8.self)).utf8)
            r.ebx = UInt32(answer.count)
            r.edx = 1 << 16
            succeed(2)
        case 4:
            r.ebx = answer.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
            answer.removeFirst(min(4, answer.count))
            r.edx = 2 << 16
            succeed()
        case 5: succeed()
        default:
            open -= 1
            succeed()
        }
    }

    private func reply(to question: String) -> String {
        let words = question.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        let name = String(words[1].dropFirst("guestinfo.".count))
        if words[0] == "info-set" {
            variables[name] = String(words[2])
            return "1 "
        }
        return variables[name].map { "1 \($0)" } ?? "0 No value found"
    }
}

private func access(_ hypervisor: Hypervisor) -> PlatformAccess {
    var access = loneAccess()
    access.guestInformation.backdoor = { (r: inout firstlight_backdoor_registers) throws(Errno) in hypervisor.call(&r) }
    return access
}

private let text = #"{"ignition":{"version":"3.4.0"}}"#

@Suite("VMware's guestinfo")
struct VMwareTests {
    @Test(
        "in each encoding",
        arguments: [
            ("", text), ("base64", "eyJpZ25pdGlvbiI6eyJ2ZXJzaW9uIjoiMy40LjAifX0="),
            ("gzip+b64", "H4sIAAAAAAACA6tWykzPyyzJzM9TsqpWKkstKgYzlYz1TPQMlGprAWys13sgAAAA"),
        ])
    func encodings(name: String, data: String) throws {
        let hypervisor = Hypervisor(["ignition.config.data": data, "ignition.config.data.encoding": name])
        #expect(try Platform.vmware.userConfig(through: access(hypervisor)) == Array(text.utf8))
        #expect(hypervisor.open == 0)
    }

    @Test func theEnvironmentGivesWhatTheVariablesDoNot() throws {
        let document = """
            <?xml version="1.0"?><Environment xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"><PropertySection>
            <Property oe:key="guestinfo.ignition.config.data" oe:value="{&quot;a&quot;:&#x31;, '&amp;'}"/>
            <Property oe:value='base64' oe:key="other"/></PropertySection></Environment>
            """
        let hypervisor = Hypervisor(["ovfenv": document])
        #expect(try Platform.vmware.userConfig(through: access(hypervisor)) == Array(#"{"a":1, '&'}"#.utf8))
        hypervisor.variables["ignition.config.data"] = text
        #expect(try Platform.vmware.userConfig(through: access(hypervisor)) == Array(text.utf8))
    }

    @Test func thereMayBeNone() throws {
        #expect(try Platform.vmware.userConfig(through: access(Hypervisor([:]))) == [])
    }

    @Test func anUnknownEncodingIsNamed() {
        let hypervisor = Hypervisor(["ignition.config.data": text, "ignition.config.data.encoding": "zip"])
        #expect(throws: PlatformFailure.unknownEncoding(.vmware, "zip")) {
            try Platform.vmware.userConfig(through: access(hypervisor))
        }
    }

    @Test func aDisturbedExchangeIsBegunAnew() throws {
        let hypervisor = Hypervisor(["ignition.config.data": text])
        hypervisor.disturbs = true
        #expect(try Platform.vmware.userConfig(through: access(hypervisor)) == Array(text.utf8))
        #expect(hypervisor.open == 0)
    }

    @Test func theConfigIsTakenAwayWhereItIs() throws {
        let hypervisor = Hypervisor(["ignition.config.data": text])
        try Platform.vmware.removeUserConfig(through: access(hypervisor))
        #expect(hypervisor.variables == ["ignition.config.data": ""])
        #expect(throws: PlatformFailure.keepsConfig(.metal)) {
            try Platform.metal.removeUserConfig(through: access(hypervisor))
        }
    }

    @Test func anotherHypervisorIsNoVMware() {
        #expect(throws: GuestInformation.Fault.notVMware) { try Platform.vmware.userConfig(through: loneAccess()) }
    }
}
