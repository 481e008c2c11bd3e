// Azure Container Apps with a GPU: the server, Postgres for its queue, a storage account for models and
// files. No replica runs, and no GPU is paid for, while nobody asks and no run waits.
// az deployment group create -g GROUP -f main.bicep -p registry=… image=… token=… databasePassword=…

@description('Begins the names of all resources: small letters and digits.')
@minLength(3)
@maxLength(12)
param name string = 'nodegraph'

param location string = resourceGroup().location

@description('The container registry, in this resource group: NAME of NAME.azurecr.io.')
param registry string

@description('The CUDA image in the registry.')
param image string = 'nodegraph:0.1.0-cuda'

@description('Clients send it as Authorization: Bearer TOKEN.')
@secure()
@minLength(16)
param token string

@description('For the Postgres server: letters and digits, it stands in an address.')
@secure()
@minLength(16)
param databasePassword string

@description('A GPU of Container Apps: T4 (16 GB) or A100 (80 GB). Your subscription needs quota for it.')
@allowed([
  'Consumption-GPU-NC8as-T4'
  'Consumption-GPU-NC24-A100'
])
param gpu string = 'Consumption-GPU-NC8as-T4'

@description('0: all replicas end when there is nothing to do, and the first run waits for a start.')
@minValue(0)
param minReplicas int = 0

@minValue(1)
param maxReplicas int = 3

@description('An OpenTelemetry collector that gets traces: http://HOST:4318; no traces if empty.')
param traces string = ''

var port = 8188
var unique = uniqueString(resourceGroup().id)
var sizes = {
  'Consumption-GPU-NC8as-T4': {
    cpu: '8'
    memory: '56Gi'
  }
  'Consumption-GPU-NC24-A100': {
    cpu: '24'
    memory: '220Gi'
  }
}
var databaseUrl = 'postgresql://nodegraph:${databasePassword}@${database.properties.fullyQualifiedDomainName}:5432/nodegraph?sslmode=require'
var host = '${name}.${environment.properties.defaultDomain}'

resource acr 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registry
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-identity'
  location: location
}

// AcrPull.
resource pull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(acr.id, identity.id, 'AcrPull')
  scope: acr
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: take('${name}${unique}', 24)
  location: location
  sku: {
    name: 'Standard_LRS'
  }
  kind: 'StorageV2'
  properties: {
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource files 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'nodegraph'
}

resource shares 'Microsoft.Storage/storageAccounts/fileServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource models 'Microsoft.Storage/storageAccounts/fileServices/shares@2023-05-01' = {
  parent: shares
  name: 'models'
  properties: {
    shareQuota: 200
  }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: '${name}-${unique}'
  location: location
  sku: {
    name: 'Standard_B1ms'
    tier: 'Burstable'
  }
  properties: {
    version: '17'
    administratorLogin: 'nodegraph'
    administratorLoginPassword: databasePassword
    storage: {
      storageSizeGB: 32
    }
  }
}

resource queue 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: database
  name: 'nodegraph'
}

// 0.0.0.0 stands for addresses of Azure. For more than a trial, put both into a virtual network.
resource fromAzure 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2024-08-01' = {
  parent: database
  name: 'azure'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
  }
}

resource environment 'Microsoft.App/managedEnvironments@2025-01-01' = {
  name: '${name}-environment'
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logs.properties.customerId
        sharedKey: logs.listKeys().primarySharedKey
      }
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
      {
        name: 'gpu'
        workloadProfileType: gpu
      }
    ]
  }
}

resource modelShare 'Microsoft.App/managedEnvironments/storages@2025-01-01' = {
  parent: environment
  name: 'models'
  properties: {
    azureFile: {
      accountName: storage.name
      accountKey: storage.listKeys().keys[0].value
      shareName: models.name
      accessMode: 'ReadOnly'
    }
  }
}

resource app 'Microsoft.App/containerApps@2025-01-01' = {
  name: name
  location: location
  dependsOn: [
    pull
    queue
    fromAzure
    files
  ]
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'gpu'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: port
        transport: 'http'
        allowInsecure: false
        stickySessions: {
          affinity: 'sticky'
        }
      }
      registries: [
        {
          server: acr.properties.loginServer
          identity: identity.id
        }
      ]
      secrets: [
        {
          name: 'token'
          value: token
        }
        {
          name: 'database'
          value: databaseUrl
        }
        {
          name: 'storage-key'
          value: storage.listKeys().keys[0].value
        }
      ]
    }
    template: {
      // Longer than NODEGRAPH_SERVER_DRAIN: active runs may finish.
      terminationGracePeriodSeconds: 90
      containers: [
        {
          name: 'server'
          image: '${acr.properties.loginServer}/${image}'
          resources: {
            cpu: json(sizes[gpu].cpu)
            memory: sizes[gpu].memory
          }
          env: [
            {
              name: 'NODEGRAPH_SERVER_TOKEN'
              secretRef: 'token'
            }
            {
              name: 'NODEGRAPH_SERVER_DATABASE'
              secretRef: 'database'
            }
            {
              name: 'NODEGRAPH_SERVER_ALLOW_HOSTS'
              value: host
            }
            {
              name: 'NODEGRAPH_SERVER_DRAIN'
              value: '60'
            }
            {
              name: 'NODEGRAPH_SERVER_LOG_FORMAT'
              value: 'json'
            }
            {
              name: 'NODEGRAPH_SERVER_TRACES'
              value: traces
            }
            {
              name: 'NODEGRAPH_INPUT_DIR'
              value: 'az://${files.name}/input'
            }
            {
              name: 'NODEGRAPH_OUTPUT_DIR'
              value: 'az://${files.name}/output'
            }
            {
              name: 'NODEGRAPH_TEMP_DIR'
              value: 'az://${files.name}/temp'
            }
            {
              name: 'AZURE_STORAGE_ACCOUNT_NAME'
              value: storage.name
            }
            {
              name: 'AZURE_STORAGE_ACCOUNT_KEY'
              secretRef: 'storage-key'
            }
          ]
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/readyz'
                port: port
              }
              initialDelaySeconds: 10
              // 5 minutes, as 10 is the most that is allowed: the default probe ends slow starts with a GPU.
              periodSeconds: 30
              timeoutSeconds: 5
              failureThreshold: 10
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/healthz'
                port: port
              }
              periodSeconds: 30
              timeoutSeconds: 10
              failureThreshold: 5
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/readyz'
                port: port
              }
              periodSeconds: 10
              timeoutSeconds: 5
              failureThreshold: 3
            }
          ]
          volumeMounts: [
            {
              volumeName: 'models'
              mountPath: '/models'
            }
            {
              volumeName: 'cache'
              mountPath: '/cache'
            }
            {
              volumeName: 'data'
              mountPath: '/data'
            }
          ]
        }
      ]
      volumes: [
        {
          name: 'models'
          storageType: 'AzureFile'
          storageName: modelShare.name
        }
        {
          name: 'cache'
          storageType: 'EmptyDir'
        }
        {
          name: 'data'
          storageType: 'EmptyDir'
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        cooldownPeriod: 600
        rules: [
          {
            name: 'requests'
            http: {
              metadata: {
                concurrentRequests: '50'
              }
            }
          }
          {
            // A replica for every four runs that wait or are computed: KEDA asks the queue itself.
            name: 'queue'
            custom: {
              type: 'postgresql'
              metadata: {
                query: 'SELECT count(*) FROM runs WHERE state IN (\'queued\', \'running\')'
                targetQueryValue: '4'
                activationTargetQueryValue: '0'
              }
              auth: [
                {
                  secretRef: 'database'
                  triggerParameter: 'connection'
                }
              ]
            }
          }
        ]
      }
    }
  }
}

@description('Open it with /login?token=TOKEN.')
output address string = 'https://${app.properties.configuration.ingress.fqdn}'

@description('For the model files: az storage file upload-batch.')
output storageAccount string = storage.name
