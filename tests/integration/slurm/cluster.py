"""A real Slurm on this machine: a controller and two nodes, in a directory and on ports of its own.

Where this user may make network namespaces each node has one, with a host name and an address of its
own, as if it were another machine; elsewhere both are on this one. All daemons are children of this
process, in the foreground, and are ended by their process ids.
"""

import ctypes
import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

NODES = ("n1", "n2")


class CannotStart(Exception):
    """What this machine does not let Slurm do; its text ends with the daemons' logs."""


def missing():
    """What of Slurm is not installed, or None."""
    for program in ("slurmctld", "slurmd", "munged", "sbatch"):
        if not find(program):
            return f"{program} is not installed"
    return None


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def end_with_parent():
    """In a child: ends it where this process is killed, whose with-statement then does not."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Namespaces:
    """A network namespace for each node and a bridge between them and this host."""

    def __init__(self):
        # Names and addresses that two of these at once do not share.
        self.key = os.getpid() % 250
        self.bridge = f"irt{os.getpid() % 100000}"
        self.holders = {}
        self.net = f"10.{(os.getpid() >> 8) % 250 + 1}.{self.key + 1}"
        self.host_address = f"{self.net}.1"
        self.addresses = {node: f"{self.net}.{i + 2}" for i, node in enumerate(NODES)}

    def make(self):
        """False where this user may not."""
        if not find("ip") or subprocess.run(["unshare", "-n", "-u", "true"], stderr=subprocess.DEVNULL).returncode:
            return False
        try:
            self.ip("link", "add", self.bridge, "type", "bridge")
            self.ip("addr", "add", f"{self.host_address}/24", "dev", self.bridge)
            self.ip("link", "set", self.bridge, "up")
            for i, node in enumerate(NODES):
                self.make_node(node, f"{self.bridge}{i}")
        except subprocess.CalledProcessError:
            self.close()
            return False
        return True

    def make_node(self, node, link):
        # A process that does nothing but hold the namespaces.
        holder = subprocess.Popen(["unshare", "-n", "-u", "sh", "-c", f"hostname {node} && echo && exec sleep 3600"],
                                  stdout=subprocess.PIPE, preexec_fn=end_with_parent)
        self.holders[node] = holder
        holder.stdout.readline()
        self.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        self.ip("link", "set", link, "master", self.bridge)
        self.ip("link", "set", link, "up")
        inside = self.enter(node)
        for command in (("link", "set", "lo", "up"), ("addr", "add", f"{self.addresses[node]}/24", "dev", "eth0"),
                        ("link", "set", "eth0", "up")):
            subprocess.run([*inside, find("ip"), *command], check=True)

    def enter(self, node):
        return ["nsenter", "-t", str(self.holders[node].pid), "-n", "-u"]

    @staticmethod
    def ip(*arguments):
        subprocess.run([find("ip"), *arguments], check=True, stderr=subprocess.PIPE)

    def close(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()
        subprocess.run([find("ip"), "link", "del", self.bridge], stderr=subprocess.DEVNULL, check=False)


class Cluster:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.daemons = []
        self.takes_jobs = False
        self.namespaces = Namespaces()
        self.separate = self.namespaces.make()
        self.environment = dict(os.environ, SLURM_CONF=str(self.directory / "slurm.conf"))

    def __enter__(self):
        try:
            self.start()
        except (KeyError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.close()
            raise CannotStart(f"{error}\n{self.logs()}") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        for name in ("munge", "state", *NODES):
            (self.directory / name).mkdir(mode=0o700)
        self.directory.chmod(0o755)
        (self.directory / "munge").chmod(0o755)
        (self.directory / "munge/key").write_bytes(os.urandom(128))
        (self.directory / "munge/key").chmod(0o600)
        self.write_configuration()
        munge = self.directory / "munge"
        self.daemon([find("munged"), "--foreground", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket",
                     f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"])
        self.wait_for(lambda: (munge / "socket").exists(), "munged")
        self.daemon([find("slurmctld"), "-D"])
        for node in NODES:
            enter = self.namespaces.enter(node) if self.separate else []
            self.daemon([*enter, find("slurmd"), "-D", "-N", node])
        self.wait_for(lambda: self.command("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(len(NODES)), "nodes")
        self.takes_jobs = True
        # Where a container forbids what its daemons do for a task, this says so, and not a test.
        self.command("srun", "--mpi=pmix", f"--nodes={len(NODES)}", "--ntasks-per-node=1", "true", check=True)

    def write_configuration(self):
        controller, *ports = free_ports(1 + len(NODES))
        host = self.namespaces.host_address if self.separate else "127.0.0.1"
        nodes = [f"NodeName={node} NodeAddr={self.namespaces.addresses[node] if self.separate else '127.0.0.1'} "
                 f"NodeHostname={node if self.separate else socket.gethostname()} Port={port} CPUs=8 RealMemory=1000"
                 for node, port in zip(NODES, ports)]
        user = getpass.getuser()
        (self.directory / "slurm.conf").write_text(f"""
ClusterName=initrt
SlurmctldHost={socket.gethostname().split(".")[0]}({host})
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={self.directory}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={self.directory}/state
SlurmdSpoolDir={self.directory}/%n
TmpFS={self.directory}/%n
SlurmctldPidFile={self.directory}/slurmctld.pid
SlurmdPidFile={self.directory}/%n.pid
SlurmctldLogFile={self.directory}/slurmctld.log
SlurmdLogFile={self.directory}/%n.log
SlurmctldParameters=enable_configless
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,sched_min_interval=100000,batch_sched_delay=1
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ReturnToService=2
KillWait=10
MinJobAge=600
{chr(10).join(nodes)}
PartitionName=all Nodes={",".join(NODES)} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
""")

    def daemon(self, command):
        log = open(self.directory / f"daemon{len(self.daemons)}.out", "wb")
        self.daemons.append(subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, preexec_fn=end_with_parent))
        log.close()

    def command(self, *arguments, check=False):
        """The output of one of Slurm's commands; "" where it fails, unless `check`."""
        done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode and check:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def wait_for(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            for daemon in self.daemons:
                if daemon.poll() is not None:
                    raise RuntimeError(f"{' '.join(daemon.args)} ended with {daemon.returncode}")
            if time.monotonic() > end:
                raise RuntimeError(f"no {what} after {seconds} s")
            time.sleep(0.1)

    def logs(self):
        text = ""
        for path in sorted([*self.directory.glob("*.log"), *self.directory.glob("daemon*.out"),
                            *self.directory.glob("munge/log")]):
            text += f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}\n"
        return text

    def end_jobs(self):
        """Whatever a failed test has left: their processes are no children of this one."""
        jobs = self.command("squeue", "-h", "-o", "%A").split()
        if not jobs:
            return
        self.command("scancel", "--signal=KILL", "--full", *jobs)
        end = time.monotonic() + 15
        while self.command("squeue", "-h") and time.monotonic() < end:
            time.sleep(0.2)

    def close(self):
        if self.takes_jobs:
            self.end_jobs()
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        if self.separate:
            self.namespaces.close()
