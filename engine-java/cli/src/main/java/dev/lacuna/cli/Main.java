package dev.lacuna.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The {@code lacuna} command. */
@Command(name = "lacuna", description = "Runs compressed transformers on the JVM.", mixinStandardHelpOptions = true, versionProvider = Main.Version.class, synopsisSubcommandLabel = "COMMAND", subcommands = HelpCommand.class, footer = {
        "", "MODEL is a name out of 'lacuna list', a source (hf:owner/repo:QUANT, https://...), or a path.",
        "Exit status: 0 done, 1 failed, 2 usage, 3 no such model, 4 not supported or malformed, 5 does not fit, 130 interrupted."})
final class Main implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli fills it
    private CommandSpec spec;

    /** What {@code --version} prints. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Main.class.getPackage().getImplementationVersion();
            return new String[]{"lacuna " + (version == null ? "(unpacked)" : version) + ", Java " + Runtime.version()};
        }
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    public static void main(String[] args) {
        Console console = Console.system();
        int status = commandLine(console).execute(args);
        console.out().flush();
        System.exit(status);
    }

    /** The command with all its subcommands, talking to the console. */
    static CommandLine commandLine(Console console) {
        CommandLine line = new CommandLine(new Main());
        line.addSubcommand(new ChatCommand(console)).addSubcommand(new GenerateCommand(console)).addSubcommand(new ServeCommand(console))
                .addSubcommand(new TokenizeCommand(console))
                .addSubcommand(new EvalCommand(console)).addSubcommand(new BenchCommand(console)).addSubcommand(new InfoCommand(console))
                .addSubcommand(new DoctorCommand(console))
                .addSubcommand(new PullCommand(console)).addSubcommand(new ListCommand(console)).addSubcommand(new RmCommand(console))
                .addSubcommand(new WarmUpCommand(console));
        line.setOut(new PrintWriter(console.out(), true, StandardCharsets.UTF_8));
        line.setErr(new PrintWriter(console.err(), true, StandardCharsets.UTF_8));
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setParameterExceptionHandler((e, _) -> {
            console.notice(Exit.message(e));
            String name = e.getCommandLine().getCommandSpec().parent() == null ? "" : " " + e.getCommandLine().getCommandName();
            console.notice("'lacuna help" + name + "' shows what can be said");
            return Exit.USAGE;
        });
        line.setExecutionExceptionHandler((e, _, _) -> console.fail(e));
        return line;
    }
}
