//! The command line. Terraform starts a provider without arguments; people start it with `-debug` or `-version`.

use clap::{Parser, error::ErrorKind};

/// What the process shall do.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Command {
    /// Be a plugin of the process that started us.
    Serve,
    /// Serve for processes that attach with `TF_REATTACH_PROVIDERS`.
    Debug,
    /// Print a text and end: help and version on stdout with code 0, a usage error on stderr with another.
    Print { text: String, exit_code: u8 },
}

/// Terraform provider for EKS Pod Identity. Terraform starts it; there is nothing to do with it by hand, except:
#[derive(Debug, Parser)]
#[command(name = "terraform-provider-podidentity", max_term_width = 100)]
struct Arguments {
    /// Serve until interrupted and print the TF_REATTACH_PROVIDERS setting that makes Terraform use this process, for
    /// debuggers and tests. There is no TLS and no authentication but the permissions of the socket.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false,
        hide_default_value = true,
        hide_possible_values = true,
        value_name = "BOOL"
    )]
    debug: bool,
}

impl Command {
    /// Understands `arguments` without the program's name. `-debug` and `--debug` are the same, as with Go's flags.
    pub(super) fn parse(
        arguments: impl IntoIterator<Item = String>,
        version: &'static str,
    ) -> Self {
        let program = "terraform-provider-podidentity".to_owned();
        let arguments = arguments.into_iter().map(double_dash);
        let parsed = <Arguments as clap::CommandFactory>::command()
            .version(version)
            .try_get_matches_from(std::iter::once(program).chain(arguments))
            .and_then(|matches| <Arguments as clap::FromArgMatches>::from_arg_matches(&matches));
        match parsed {
            Ok(Arguments { debug: true }) => Self::Debug,
            Ok(Arguments { debug: false }) => Self::Serve,
            Err(error) => Self::Print {
                text: error.to_string(),
                exit_code: match error.kind() {
                    ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
                    _ => 2,
                },
            },
        }
    }
}

/// Go programs write long flags with one dash.
fn double_dash(argument: String) -> String {
    let name = argument.strip_prefix('-').unwrap_or_default();
    if name.len() > 1 && !name.starts_with('-') {
        format!("-{argument}")
    } else {
        argument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_work_with_one_dash_and_with_two() {
        let parse =
            |arguments: &[&str]| Command::parse(arguments.iter().map(ToString::to_string), "1.2.3");
        let version = || Command::Print {
            text: "terraform-provider-podidentity 1.2.3\n".to_owned(),
            exit_code: 0,
        };
        let cases: [(&[&str], Command); 9] = [
            (&[], Command::Serve),
            (&["-debug"], Command::Debug),
            (&["--debug"], Command::Debug),
            (&["-debug=true"], Command::Debug),
            (&["--debug=true"], Command::Debug),
            (&["-debug=false"], Command::Serve),
            (&["-version"], version()),
            (&["--version"], version()),
            (&["-V"], version()),
        ];
        for (arguments, expected) in cases {
            assert_eq!(parse(arguments), expected, "{arguments:?}");
        }
        for (arguments, code, contains) in [
            (["-help"], 0, "--debug"),
            (["-h"], 0, "--debug"),
            (["-nonsense"], 2, "unexpected argument '--nonsense'"),
            (["plan"], 2, "unexpected argument 'plan'"),
        ] {
            let Command::Print { text, exit_code } = parse(&arguments) else {
                panic!("{arguments:?}: nothing printed");
            };
            assert_eq!(exit_code, code, "{arguments:?}");
            assert!(text.contains(contains), "{arguments:?}: {text}");
        }
    }
}
