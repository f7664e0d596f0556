import Glibc
import Reporting
import Testing

@testable import ProvisioningEngine

@Suite("The death of an agent")
struct AgentDeathTests {
    @Test(
        "systemd's words for the end of a stage",
        arguments: [
            ("success", "0", nil), ("exit-code", "1", nil), (nil, nil, nil),
            ("signal", "SEGV", .signal(SIGSEGV)), ("core-dump", "ILL", .signal(SIGILL)),
            ("signal", "KILL", .signal(SIGKILL)), ("signal", "TERM", nil),
            ("signal", "RTMIN+3", .result("signal, RTMIN+3")), ("oom-kill", "KILL", .outOfMemory),
            ("timeout", "TERM", .result("timeout, TERM")), ("watchdog", nil, .result("watchdog")),
        ] as [(String?, String?, AgentDeath?)])
    func serviceResults(result: String?, status: String?, wanted: AgentDeath?) {
        #expect(AgentDeath(serviceResult: result, exitStatus: status) == wanted)
    }

    private func report(_ death: AgentDeath, written: [String] = []) -> String {
        FailureReport(
            death.failure(during: "preparing the disks"), written: written,
            next: "Shell on ttyS0; `exit` tries again."
        ).lines.joined(separator: "\n")
    }

    @Test("a defect is told as every stop is, and asks to be reported")
    func defect() {
        #expect(
            report(.signal(SIGILL), written: ["the partition table of /dev/vda"]) == """
                firstlight stopped: it died of SIGILL
                  while preparing the disks
                  Written so far: the partition table of /dev/vda.
                  This is a defect of Firstlight: please report it, with the log.
                  Log: /run/firstlight/log. Shell on ttyS0; `exit` tries again.
                """)
    }

    @Test("one that somebody ended is not a defect")
    func ended() {
        #expect(
            report(.signal(SIGKILL)) == """
                firstlight stopped: it was ended by SIGKILL
                  while preparing the disks
                  Nothing was written to any disk.
                  See who ended it: `dmesg` and the log may tell. Then try again.
                  Log: /run/firstlight/log. Shell on ttyS0; `exit` tries again.
                """)
    }

    @Test("want of memory names what there is")
    func memory() {
        let text = report(.outOfMemory)
        #expect(text.hasPrefix("firstlight stopped: the kernel ran out of memory and ended it\n"))
        #expect(text.contains("Give the machine more RAM than its "))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test("what is under way is kept with the stage's word")
    func steps() throws {
        for stage in BootStage.allCases {
            let step = try #require(StepRecord([stage]))
            #expect(step.topic == stage.topic && step.act == stage.act)
            #expect(StepRecord(reading: step.text) == step)
        }
        let both = StepRecord([.rootImage, .plan])
        #expect(both?.text == "rootfs\ngetting the root filesystem and planning the disks\n")
        #expect(StepRecord([]) == nil && StepRecord(reading: "starting\n") == nil && StepRecord(reading: "") == nil)
    }
}
